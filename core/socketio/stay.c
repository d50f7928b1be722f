/*
 * stay.c - the namespaces that a link is in, or has asked for: see link.h.
 *
 * Called by: core/socketio/link.c (the client comes and goes), link_down.c (logic answers).
 * A client of one namespace has its stay in the link itself; more of them, and whatever
 * else most links never have, stand in link->rare. Thread: shard.
 */
#include "core/socketio/link.h"

#include <stdlib.h>

#include "core/base/mem.h"
#include "core/loop/bytes.h"
#include "core/socketio/records.h"

struct link_rare *link_need_rare(struct link *link)
{
    if (!link->rare) {
        link->rare = mem_calloc(1, sizeof *link->rare);
        link->rare->link = link;
    }
    return link->rare;
}

void link_drop_opening(struct link *link)
{
    if (!link->rare)
        return;
    timer_stop(&link->rare->connect_timer);
    free(link->rare->address);
    bytes_unref(link->rare->opening);
    link->rare->address = NULL;
    link->rare->opening = NULL;
    link_trim(link);
}

void link_trim(struct link *link)
{
    struct link_rare *rare = link->rare;

    if (!rare || rare->address || rare->n_stays > 0)
        return;
    free(rare->stays);
    free(rare);
    link->rare = NULL;
}

static uint32_t new_epoch(struct link *link)
{
    uint32_t epoch;

    do
        epoch = ++link->sio->last_epoch;
    while (epoch == EPOCH_ANY || stay_find(link, epoch));
    return epoch;
}

/* Room for one stay more: in the link where that is free. */
static struct link_stay *new_place(struct link *link)
{
    struct link_rare *rare;

    if (link->stay.epoch == EPOCH_ANY)
        return &link->stay;
    rare = link_need_rare(link);
    if (rare->n_stays == rare->stays_cap) {
        rare->stays_cap = rare->stays_cap ? rare->stays_cap * 2 : 4;
        rare->stays = mem_realloc(rare->stays, rare->stays_cap * sizeof *rare->stays);
    }
    return &rare->stays[rare->n_stays++];
}

struct link_stay *stay_new(struct link *link, const char *nsp, size_t nsp_len)
{
    uint32_t epoch = new_epoch(link);
    struct link_stay *stay = new_place(link);

    *stay = (struct link_stay){.nsp = nsp_names_take(&link->sio->names, nsp, nsp_len),
                               .epoch = epoch};
    return stay;
}

struct link_stay *stay_find(struct link *link, uint32_t epoch)
{
    const struct link_rare *rare = link->rare;

    if (epoch == EPOCH_ANY)
        return NULL;
    if (link->stay.epoch == epoch)
        return &link->stay;
    for (uint32_t i = 0; rare && i < rare->n_stays; i++)
        if (rare->stays[i].epoch == epoch)
            return &rare->stays[i];
    return NULL;
}

struct link_stay *stay_find_nsp(struct link *link, const char *nsp, size_t nsp_len)
{
    const struct link_rare *rare = link->rare;
    struct link_stay *found = NULL;
    uint32_t number;

    if (!nsp_names_find(&link->sio->names, nsp, nsp_len, &number))
        return NULL;
    if (link->stay.epoch != EPOCH_ANY && link->stay.nsp == number)
        found = &link->stay;
    for (uint32_t i = 0; rare && i < rare->n_stays && !(found && found->is_joined); i++)
        if (rare->stays[i].nsp == number)
            found = &rare->stays[i];
    return found;
}

void stay_end(struct link *link, struct link_stay *stay)
{
    struct link_rare *rare = link->rare;

    members_leave_namespace(&link->sio->members, link, stay->nsp);
    nsp_names_drop(&link->sio->names, stay->nsp);
    if (rare && rare->n_stays > 0)
        *stay = rare->stays[--rare->n_stays];
    else
        *stay = (struct link_stay){0};
    link_trim(link);
}

void stays_done(struct link *link)
{
    members_leave_all(&link->sio->members, link);
    while (link->stay.epoch != EPOCH_ANY)
        stay_end(link, &link->stay);
    link_drop_opening(link);
}
