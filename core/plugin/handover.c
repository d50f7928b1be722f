/*
 * handover.c - the values of a plugin that is replaced: saved by the old code, restored by the
 * new.
 *
 * Between prepare and commit no other code runs: whoever calls these does so in one go.
 * Called by: reload.c. Thread: logic.
 */
#include "core/plugin/handover.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/plugin/plugin.h"
#include "core/plugin/state.h"

/* One value that goes over. */
struct piece {
    struct object_key key;
    hop_slot from, to;
    void *old_value; /* of commit alone */
    void *new_value; /* owned until it has its place; NULL: it ends here */
};

struct handover {
    hop_server *server; /* borrowed */
    struct plugin *from, *to;
    struct piece *piece; /* owned */
    size_t n, cap;
    hop_error *error; /* borrowed: while it is prepared */
    bool has_failed;
};

size_t handover_count(const struct handover *handover)
{
    return handover->n;
}

/* ---- calling both codes */

static json_t *call_save(struct handover *handover, hop_slot slot, const void *value)
{
    const hop_slot_options *options = &handover->server->values.slot[slot].options;
    struct call call;
    json_t *saved;

    call_begin_as(handover->server, handover->from, "hook", "save", &call);
    saved = options->save(value, options->self);
    call_end(handover->server, &call, "hook", "save");
    return saved;
}

static void *call_restore(struct handover *handover, hop_slot slot, json_t *saved,
                          struct object_key key)
{
    const hop_slot_options *options = &handover->server->values.slot[slot].options;
    const hop_owner owner = {key};
    struct call call;
    void *value;

    call_begin_as(handover->server, handover->to, "hook", "restore", &call);
    value = options->restore(saved, &owner, options->self);
    call_end(handover->server, &call, "hook", "restore");
    return value;
}

static void fail(struct handover *handover, const char *what, const char *slot)
{
    handover->has_failed = true;
    hop_error_set(handover->error, "plugin %s: %s%s%s: it stays as it was",
                  handover->from->name, what, slot ? " " : "", slot ? slot : "");
}

/* ---- preparing */

static void add_piece(struct handover *handover, struct piece piece)
{
    if (handover->n == handover->cap) {
        handover->cap = handover->cap ? handover->cap * 2 : 64;
        handover->piece =
            mem_realloc(handover->piece, handover->cap * sizeof *handover->piece);
    }
    handover->piece[handover->n++] = piece;
}

static void fail_unsavable(struct handover *handover, hop_slot slot)
{
    const char *name = handover->server->values.slot[slot].options.name;

    fail(handover, "it keeps values that it cannot save, in the slot",
         name ? name : "without a name");
}

static void check_value(struct object_key key, hop_slot slot, void *value, void *arg)
{
    struct handover *handover = arg;

    (void)key;
    (void)value;
    if (!handover->has_failed && !handover->server->values.slot[slot].options.save)
        fail_unsavable(handover, slot);
}

int handover_check(hop_server *server, struct plugin *from, hop_error *error)
{
    struct handover handover = {.server = server, .from = from, .error = error};

    values_each(server, from, check_value, &handover);
    return handover.has_failed ? -1 : 0;
}

static void take_value(struct object_key key, hop_slot slot, void *value, void *arg)
{
    struct handover *handover = arg;
    const struct value_slot *from = &handover->server->values.slot[slot];
    const hop_slot to = values_find_slot(handover->server, handover->to, &from->options);
    void *restored = NULL;
    json_t *saved;

    if (handover->has_failed)
        return;
    if (!from->options.save) {
        fail_unsavable(handover, slot);
        return;
    }
    if (to < 0)
        return; /* the new code has no use for it */
    saved = call_save(handover, slot, value);
    if (saved && handover->server->values.slot[to].options.restore) {
        restored = call_restore(handover, to, saved, key);
        if (!restored)
            fail(handover, "the new code cannot restore a value of the slot",
                 from->options.name);
    }
    json_decref(saved);
    add_piece(handover, (struct piece){key, slot, to, NULL, restored});
}

/* What the plugin keeps for itself. */
static void hand_state_over(struct handover *handover)
{
    const hop_plugin *from = &handover->from->entry, *to = &handover->to->entry;
    hop_error reason = {""};
    json_t *saved = NULL;
    struct call call;
    int result;

    if (!from->save || !to->restore)
        return;
    call_begin_as(handover->server, handover->from, "hook", "save", &call);
    saved = from->save(handover->from->state);
    call_end(handover->server, &call, "hook", "save");
    if (!saved)
        return;
    call_begin_as(handover->server, handover->to, "hook", "restore", &call);
    result = to->restore(handover->to->state, saved, &reason);
    call_end(handover->server, &call, "hook", "restore");
    json_decref(saved);
    if (result < 0)
        fail(handover, *reason.text ? reason.text : "restore() failed and gave no reason",
             NULL);
}

struct handover *handover_prepare(hop_server *server, struct plugin *from,
                                  struct plugin *to, hop_error *error)
{
    struct handover *handover = mem_calloc(1, sizeof *handover);

    handover->server = server;
    handover->from = from;
    handover->to = to;
    handover->error = error;
    hand_state_over(handover);
    if (!handover->has_failed)
        values_each(server, from, take_value, handover);
    if (!handover->has_failed)
        return handover;
    handover_cancel(handover);
    return NULL;
}

/* ---- the two ends */

static void handover_free(struct handover *handover)
{
    free(handover->piece);
    free(handover);
}

void handover_cancel(struct handover *handover)
{
    if (!handover)
        return;
    for (size_t i = 0; i < handover->n; i++)
        values_destroy(handover->server, handover->piece[i].to,
                       handover->piece[i].new_value);
    handover_free(handover);
}

void handover_commit(struct handover *handover)
{
    hop_server *server = handover->server;

    values_take_places(server, handover->from, handover->to);
    for (size_t i = 0; i < handover->n; i++) {
        struct piece *piece = &handover->piece[i];

        piece->old_value =
            values_swap(server, piece->key, piece->from, piece->to, piece->new_value);
    }
    for (size_t i = 0; i < handover->n; i++) { /* which may run any code */
        struct piece *piece = &handover->piece[i];

        if (piece->old_value)
            values_destroy(server, piece->from, piece->old_value);
        else /* save() or restore() has taken what it was for */
            values_destroy(server, piece->to, piece->new_value);
    }
    handover_free(handover);
}
