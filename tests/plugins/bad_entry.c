/*
 * bad_entry.c - a shared object without a descriptor: no plugin at all.
 */
#include <sockhop/types.h>

HOP_API extern const int not_a_plugin;
HOP_API const int not_a_plugin = 1;
