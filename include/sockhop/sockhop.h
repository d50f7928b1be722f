/*
 * sockhop.h - all that a plugin needs: include this one.
 *
 * A plugin is one shared object that exports one constant, `hop_plugin_entry`
 * (plugin.h). Its code runs in the logic thread only, one call at a time, so it needs
 * no locks. plugins/skeleton is the one to copy.
 */
#ifndef SOCKHOP_SOCKHOP_H
#define SOCKHOP_SOCKHOP_H

#include <sockhop/types.h>

#include <sockhop/answer.h>
#include <sockhop/cluster.h>
#include <sockhop/command.h>
#include <sockhop/config.h>
#include <sockhop/emit.h>
#include <sockhop/endpoint.h>
#include <sockhop/event.h>
#include <sockhop/handshake.h>
#include <sockhop/health.h>
#include <sockhop/job.h>
#include <sockhop/log.h>
#include <sockhop/logfield.h>
#include <sockhop/metric.h>
#include <sockhop/namespace.h>
#include <sockhop/plugin.h>
#include <sockhop/route.h>
#include <sockhop/server.h>
#include <sockhop/slot.h>
#include <sockhop/socket.h>
#include <sockhop/static.h>
#include <sockhop/timer.h>
#include <sockhop/user.h>
#include <sockhop/watch.h>

#endif
