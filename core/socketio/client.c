/*
 * client.c - the table of clients by session.
 *
 * Called by: core/socketio/hub.c. A session's handle is looked up here without asking its
 * shard: the slot gives the place, and the whole handle must be the same. Thread: logic.
 */
#include "core/socketio/client.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "core/base/mem.h"
#include "core/loop/bytes.h"

enum { FIRST_CLIENTS = 64 };

static struct client **place_of(const struct clients *clients, handle session)
{
    const struct client_table *table = &clients->shard[handle_shard(session)];
    uint32_t slot = handle_slot(session);

    return slot < table->n ? &table->client[slot] : NULL;
}

struct client *client_find(const struct clients *clients, handle session)
{
    struct client **place = place_of(clients, session);

    return place && *place && (*place)->session == session ? *place : NULL;
}

static void grow(struct client_table *table, uint32_t slot)
{
    uint32_t n = table->n ? table->n : FIRST_CLIENTS;

    while (n <= slot)
        n *= 2;
    table->client = mem_realloc(table->client, n * sizeof(struct client *));
    while (table->n < n)
        table->client[table->n++] = NULL;
}

struct client *client_new(struct clients *clients, handle session, const char *address,
                          const char *engine_id)
{
    const size_t address_size = strlen(address) + 1;
    struct client_table *table = &clients->shard[handle_shard(session)];
    struct client *client = mem_calloc(1, offsetof(struct client, address) +
                                              address_size + strlen(engine_id) + 1);

    if (handle_slot(session) >= table->n)
        grow(table, handle_slot(session));
    client->session = session;
    strcpy(strcpy(client->address, address) + address_size, engine_id);
    table->client[handle_slot(session)] = client;
    return client;
}

void client_free(struct clients *clients, struct client *client)
{
    struct client **place = place_of(clients, client->session);

    assert(place);
    *place = NULL;
    bytes_unref(client->opening);
    free(client);
}

void clients_done(struct clients *clients)
{
    for (unsigned i = 0; i < LOOPS_MAX; i++) {
        struct client_table *table = &clients->shard[i];

        for (uint32_t slot = 0; slot < table->n; slot++)
            if (table->client[slot])
                client_free(clients, table->client[slot]);
        free(table->client);
    }
}
