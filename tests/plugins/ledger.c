/*
 * ledger.c - keeps books of what each socket said, for a test that compares them with its own.
 *
 *   connect     the socket gets `hello` TOTAL: how much news there was before it came
 *   iam KEY     names the socket's stay (up to 31 bytes); `you` KEY back
 *   count N     goes into the books; `count` N back
 *   tell N      N times (at most 100) `news` TOTAL TEXT to every socket; TOTAL grows by one
 *   watch       the socket is told of every end of a stay that has a key:
 *               `closed` KEY REASON KICKED [what it counted] TOTAL
 *   soft, hard  ends the sender's socket, or its whole connection; KICKED is that word
 *
 * Thread: logic.
 */
#include <sockhop/sockhop.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_SIZE = 32, NEWS_MAX = 100, TEXT_STEPS = 5 };

struct ledger {
    hop_server *server; /* borrowed */
    hop_slot slot;      /* of struct stay */
    json_int_t total;   /* news so far */
};

struct stay {
    char key[KEY_SIZE];
    const char *kicked; /* "", "soft" or "hard" */
    json_t *counted;    /* owned: array */
};

static void stay_free(void *value)
{
    struct stay *stay = value;

    json_decref(stay->counted);
    free(stay);
}

static struct stay *stay_of(const struct ledger *ledger, hop_socket socket)
{
    return hop_socket_get(ledger->server, socket, ledger->slot);
}

static hop_verdict on_iam(hop_socket socket, hop_event *event, void *self)
{
    struct ledger *ledger = self;
    struct stay *stay;
    const char *key;

    if (hop_event_unpack(event, "[s]", &key) < 0 || strlen(key) >= KEY_SIZE ||
        stay_of(ledger, socket))
        return hop_reject(event, "bad_key", "a short key, once, please");
    stay = calloc(1, sizeof *stay);
    if (!stay)
        abort();
    strcpy(stay->key, key);
    stay->kicked = "";
    stay->counted = json_array();
    if (hop_socket_set(ledger->server, socket, ledger->slot, stay) < 0)
        stay_free(stay);
    hop_emit(hop_to_socket(ledger->server, socket), "you", json_pack("[s]", key));
    return HOP_STOP;
}

static hop_verdict on_count(hop_socket socket, hop_event *event, void *self)
{
    struct ledger *ledger = self;
    struct stay *stay = stay_of(ledger, socket);
    json_int_t n;

    if (!stay || hop_event_unpack(event, "[I]", &n) < 0)
        return hop_reject(event, "bad_count", "a key, then numbers, please");
    json_array_append_new(stay->counted, json_integer(n));
    hop_emit(hop_to_socket(ledger->server, socket), "count", json_pack("[I]", n));
    return HOP_STOP;
}

static hop_verdict on_tell(hop_socket socket, hop_event *event, void *self)
{
    static const char text[] = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"
                               "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz";
    struct ledger *ledger = self;
    json_int_t n;

    (void)socket;
    if (hop_event_unpack(event, "[I]", &n) < 0 || n < 0 || n > NEWS_MAX)
        return hop_reject(event, "bad_number", "up to 100, please");
    while (n-- > 0) {
        size_t skip = (size_t)(ledger->total % TEXT_STEPS) * (sizeof text / TEXT_STEPS);

        hop_emit(hop_to_all(ledger->server), "news",
                 json_pack("[I, s]", ++ledger->total, text + skip));
    }
    hop_event_ack(event, NULL);
    return HOP_STOP;
}

static hop_verdict on_watch(hop_socket socket, hop_event *event, void *self)
{
    struct ledger *ledger = self;

    hop_socket_join(ledger->server, socket, "watchers");
    hop_event_ack(event, NULL);
    return HOP_STOP;
}

static hop_verdict on_kick(hop_socket socket, hop_event *event, void *self)
{
    struct ledger *ledger = self;
    struct stay *stay = stay_of(ledger, socket);
    bool is_hard = strcmp(hop_event_name(event), "hard") == 0;

    if (stay)
        stay->kicked = is_hard ? "hard" : "soft";
    hop_socket_disconnect(ledger->server, socket,
                          is_hard ? HOP_CLOSE_TRANSPORT : HOP_CLOSE_SOCKET);
    return HOP_STOP;
}

static void on_connect(hop_socket socket, void *self)
{
    const struct ledger *ledger = self;

    hop_emit(hop_to_socket(ledger->server, socket), "hello",
             json_pack("[I]", ledger->total));
}

static void on_disconnect(hop_socket socket, const char *reason, void *self)
{
    const struct ledger *ledger = self;
    const struct stay *stay = stay_of(ledger, socket);

    if (stay)
        hop_emit(hop_to_room(ledger->server, "watchers"), "closed",
                 json_pack("[s, s, s, O, I]", stay->key, reason, stay->kicked,
                           stay->counted, ledger->total));
}

static int ledger_init(hop_server *server, void *self)
{
    struct ledger *ledger = self;

    ledger->server = server;
    ledger->slot = hop_slot_new(server, stay_free);
    hop_on(server, "iam", on_iam, ledger);
    hop_on(server, "count", on_count, ledger);
    hop_on(server, "tell", on_tell, ledger);
    hop_on(server, "watch", on_watch, ledger);
    hop_on(server, "soft", on_kick, ledger);
    hop_on(server, "hard", on_kick, ledger);
    hop_on_connect(server, on_connect, ledger);
    hop_on_disconnect(server, on_disconnect, ledger);
    return 0;
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("ledger", "1.0", "keeps books of what is said"),
    .state_size = sizeof(struct ledger),
    .init = ledger_init,
};
