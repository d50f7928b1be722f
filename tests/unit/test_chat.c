/*
 * test_chat.c - the shipped plugins, event by event, as shared objects on a hub that only
 * notes down: auth, lobby, echo, skeleton.
 */
#include "tests/unit/fakehub.h"

static struct fixture fixture;

static void open_with(const char *conf)
{
    fixture_open(&fixture, conf, "plugins/.libs");
    if (fixture_load(&fixture) < 0)
        fail_msg("%s", fixture.error.text);
    for (hop_socket socket = 1; socket <= 4; socket++)
        fake_connect(socket);
    fake.sent[0] = '\0'; /* greetings */
}

static int set_up(void **state)
{
    (void)state;
    open_with("[plugin:auth]\n[plugin:lobby]\n[plugin:echo]\n");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_close(&fixture);
    return 0;
}

static void log_in(hop_socket socket, const char *name)
{
    char packet[128];

    snprintf(packet, sizeof packet, "[\"login\",\"%s\"]", name);
    fake_event(socket, packet, NO_ACK);
    fake.sent[0] = '\0';
}

/* ---- auth */

static void a_login_is_welcomed_and_told_to_everyone(void **state)
{
    (void)state;
    fake_event(1, "[\"login\",\"Ada\"]", NO_ACK);
    fake_sent_is("1 welcome []\nall userJoined [\"Ada\"]\n");
    fake_event(2, "[\"login\",\"Bob\"]", 5);
    fake_sent_is("2 welcome []\n2 ack5 [{\"ok\":true}]\nall userJoined [\"Bob\"]\n");
}

static void a_bad_name_is_answered_with_that_name(void **state)
{
    static const struct {
        const char *packet, *echo;
    } rows[] = {
        {"[\"login\",\"ab\"]", "\"ab\""},
        {"[\"login\",\"abcdefghijk\"]", "\"abcdefghijk\""},
        {"[\"login\",\" ab\"]", "\" ab\""},
        {"[\"login\"]", "null"},
        {"[\"login\",null]", "null"},
        {"[\"login\",[\"a\",\"b\",\"c\"]]", "[\"a\",\"b\",\"c\"]"}, /* C54 */
        {"[\"login\",{\"length\":5}]", "{\"length\":5}"},
        {"[\"login\",12345]", "12345"},
        {"[\"login\",true]", "true"},
        {"[\"login\",\"a\\u0000bc\"]", "\"a\\u0000bc\""},
        {"[\"login\",\"ab\\ud800\"]", "\"ab\\ud800\""},
        {"[\"login\",\"a\\u202eb\"]", "\"a\\u202eb\""}, /* T18 */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char expected[200];

        snprintf(expected, sizeof expected, "1 loginNameBad [%s]\n", rows[i].echo);
        fake_event(1, rows[i].packet, NO_ACK);
        fake_sent_is(expected);
    }
    fake_event(1, "[\"login\",7]", 2);
    fake_sent_is(
        "1 loginNameBad [7]\n1 ack2 [{\"ok\":false,\"error\":{\"code\":\"name_bad\","
        "\"message\":\"a name as text, please\"}}]\n");
    log_in(1, "Ada"); /* and it may try again */
    fake_event(2, "[\"onlineUsers\"]", NO_ACK);
    fake_sent_is("2 onlineUsers [[\"Ada\"]]\n");
}

static void a_huge_argument_is_not_sent_back(void **state)
{
    char packet[2100] = "[\"login\",\"";

    (void)state;
    memset(packet + strlen(packet), 'x', 2000);
    strcat(packet, "\"]");
    fake_event(1, packet, NO_ACK);
    fake_sent_is("1 loginNameBad [null]\n");
}

static void a_refusal_tells_the_limits_in_force(void **state)
{
    static const struct {
        const char *conf, *name, *message;
    } rows[] = {
        {"", "me", "too short, at least 3 characters"},
        {"", "elevenchars", "too long, at most 10 characters"},
        {"min_length = 5\n", "adam", "too short, at least 5 characters"},
        {"max_length = 4\nmax_bytes = 16\n", "adams", "too long, at most 4 characters"},
        {"max_length = 4\nmax_bytes = 15\n", "adams",
         "too long, at most 4 characters and 15 bytes"},
        {"max_length = 4\nmax_bytes = 8\n", "adams",
         "too long, at most 4 characters and 8 bytes"},
        {"restriction = ascii\n", "Jos\xc3\xa9",
         "only letters, digits and signs of ASCII, please"},
        {"", " ada", "blanks at an end, or two in a row"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[256];

        tear_down(state);
        snprintf(text, sizeof text, "[plugin:auth]\n%s", rows[i].conf);
        open_with(text);
        snprintf(text, sizeof text, "[\"login\",\"%s\"]", rows[i].name);
        fake_event(1, text, 1);
        snprintf(text, sizeof text,
                 "1 loginNameBad [\"%s\"]\n1 ack1 [{\"ok\":false,\"error\":{\"code\":"
                 "\"name_bad\",\"message\":\"%s\"}}]\n",
                 rows[i].name, rows[i].message);
        fake_sent_is(text);
    }
}

static void a_name_that_is_taken_is_refused(void **state)
{
    (void)state;
    log_in(1, "Ada");
    fake_event(2, "[\"login\",\"Ada\"]", NO_ACK);
    fake_sent_is("2 loginNameExists [\"Ada\"]\n");
    fake_event(2, "[\"login\",\"ADA\"]", 1); /* the same in another case */
    fake_sent_is("2 loginNameExists [\"ADA\"]\n2 ack1 [{\"ok\":false,\"error\":{\"code\":"
                 "\"name_exists\",\"message\":\"somebody has this name, or one "
                 "that looks like it\"}}]\n");
    fake_event(2, "[\"login\",\"Ada2\"]", NO_ACK);
    fake_sent_is("2 welcome []\nall userJoined [\"Ada2\"]\n");
}

/* T17 */
static void a_name_that_looks_like_one_in_use_is_taken(void **state)
{
    (void)state;
    log_in(1, "Paul");
    fake_event(2, "[\"login\",\"PauI\"]", NO_ACK); /* capital i */
    fake_sent_is("2 loginNameExists [\"PauI\"]\n");
    fake_event(2, "[\"login\",\"\xd0\xa0\xd0\xb0ul\"]", 1); /* half of it Cyrillic */
    fake_sent_is("2 loginNameBad [\"\xd0\xa0\xd0\xb0ul\"]\n"
                 "2 ack1 [{\"ok\":false,\"error\":{\"code\":\"name_bad\",\"message\":"
                 "\"mixes letters of scripts that do not go together\"}}]\n");
    fake_disconnect(1, "transport close");
    fake.sent[0] = '\0';
    fake_event(2, "[\"login\",\"PauI\"]", NO_ACK); /* free again: both of its keys */
    fake_sent_is("2 welcome []\nall userJoined [\"PauI\"]\n");
    fake_event(3, "[\"login\",\"paul\"]", NO_ACK);
    fake_sent_is("3 loginNameExists [\"paul\"]\n");
    fake_event(3, "[\"login\",\"paui\"]", NO_ACK);
    fake_sent_is("3 loginNameExists [\"paui\"]\n");
}

static void a_second_login_on_a_socket_changes_nothing(void **state)
{
    (void)state;
    log_in(1, "Ada");
    fake_event(1, "[\"login\",\"Ada\"]", NO_ACK);
    fake_event(1, "[\"login\",\"Eve\"]", NO_ACK);
    fake_sent_is("1 loginNameExists [\"Ada\"]\n1 loginNameExists [\"Eve\"]\n");
    fake_event(1, "[\"chat\",\"hi\"]", NO_ACK); /* once, under the first name */
    fake_sent_is("all chat [{\"sender\":\"Ada\",\"message\":\"hi\"}]\n");
    log_in(2, "Eve");
    fake_event(1, "[\"onlineUsers\"]", NO_ACK);
    fake_sent_is("1 onlineUsers [[\"Ada\",\"Eve\"]]\n");
}

static void names_of_javascript_are_names(void **state)
{
    (void)state;
    log_in(1, "__proto__"); /* C54, T13 */
    log_in(2, "toString");
    log_in(3, "valueOf");
    fake_event(4, "[\"onlineUsers\"]", NO_ACK);
    fake_sent_is("4 onlineUsers [[\"__proto__\",\"toString\",\"valueOf\"]]\n");
}

static void a_name_is_free_once_its_socket_has_gone(void **state)
{
    (void)state;
    log_in(1, "Ada");
    log_in(2, "Bob");
    log_in(3, "Cyd");
    fake_disconnect(2, "transport close");
    fake_sent_is("all userLeft [\"Bob\"]\n");
    fake_disconnect(2, "transport close"); /* C54: twice removes nobody else */
    fake_event(1, "[\"onlineUsers\"]", NO_ACK);
    fake_sent_is("1 onlineUsers [[\"Ada\",\"Cyd\"]]\n");
    log_in(4, "bob");
    fake_event(1, "[\"onlineUsers\"]", 8); /* in the order of login */
    fake_sent_is("1 onlineUsers [[\"Ada\",\"Cyd\",\"bob\"]]\n"
                 "1 ack8 [{\"ok\":true,\"users\":[\"Ada\",\"Cyd\",\"bob\"]}]\n");
    fake_disconnect(4, "ping timeout");
    fake_disconnect(1, "ping timeout");
    fake_disconnect(3, "ping timeout");
    fake_sent_is(
        "all userLeft [\"bob\"]\nall userLeft [\"Ada\"]\nall userLeft [\"Cyd\"]\n");
}

static void a_socket_that_never_logged_in_leaves_silently(void **state)
{
    (void)state;
    fake_disconnect(1, "transport close");
    fake_sent_is("");
}

/* T20: in one turn, the first wins, and nobody else. */
static void of_many_who_claim_a_name_one_gets_it(void **state)
{
    int n_welcome = 0;

    (void)state;
    for (hop_socket socket = 1; socket <= 4; socket++) {
        fake_event(socket, "[\"login\",\"Ada\"]", NO_ACK);
        n_welcome += strstr(fake.sent, "welcome") != NULL;
        fake.sent[0] = '\0';
    }
    assert_int_equal(n_welcome, 1);
}

/* ---- lobby */

static void chat_reaches_everyone_as_it_was_written(void **state)
{
    static const char *const messages[] = {
        "\"hi\"",
        "18446744073709552000",
        "1.0",
        "\"\\ud800\"",
        "{\"__proto__\":{\"x\":1}}",
        "[]",
        "true",
        "1e400",
        "\"0\"",
        "\" \"",
        "0.1",
        "-1",
        "10",
    };

    (void)state;
    log_in(1, "Ada");
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        char packet[100], expected[200];

        snprintf(packet, sizeof packet, "[\"chat\",%s,\"ignored\"]", messages[i]);
        snprintf(expected, sizeof expected,
                 "all chat [{\"sender\":\"Ada\",\"message\":%s}]\n", messages[i]);
        fake_event(1, packet, NO_ACK);
        fake_sent_is(expected);
    }
    fake_event(1, "[\"chat\",\"hi\"]", 3);
    fake_sent_is("all chat [{\"sender\":\"Ada\",\"message\":\"hi\"}]\n1 ack3 "
                 "[{\"ok\":true}]\n");
}

static void an_empty_chat_is_ignored(void **state)
{
    static const char *const packets[] = {
        "[\"chat\"]",       "[\"chat\",\"\"]", "[\"chat\",null]",
        "[\"chat\",false]", "[\"chat\",0]",    "[\"chat\",-0]",
        "[\"chat\",0.000]", "[\"chat\",0e5]",  "[\"chat\",-0.0E1]",
    };

    (void)state;
    log_in(1, "Ada");
    for (size_t i = 0; i < sizeof packets / sizeof *packets; i++) {
        fake_event(1, packets[i], NO_ACK);
        fake_sent_is("");
    }
    fake_event(1, "[\"chat\",\"\"]", 3);
    fake_sent_is(
        "1 ack3 [{\"ok\":false,\"error\":{\"code\":\"empty\",\"message\":\"an empty "
        "message\"}}]\n");
}

static void chat_before_login_reaches_nobody(void **state)
{
    (void)state;
    log_in(1, "Ada");
    fake_event(2, "[\"chat\",\"hi\"]", NO_ACK);
    fake_sent_is("");
    fake_event(2, "[\"chat\",\"hi\"]", 1);
    fake_sent_is(
        "2 ack1 [{\"ok\":false,\"error\":{\"code\":\"not_logged_in\",\"message\":"
        "\"log in first\"}}]\n");
}

static void notices_can_be_switched_off(void **state)
{
    (void)state;
    open_with("[plugin:auth]\n[plugin:lobby]\nnotices = no\nmax_message_bytes = 4\n");
    fake_event(1, "[\"login\",\"Ada\"]", NO_ACK);
    fake_disconnect(1, "transport close");
    fake_sent_is("1 welcome []\n");
    log_in(2, "Bob");
    fake_event(2, "[\"chat\",\"ab\"]", NO_ACK);
    fake_event(2, "[\"chat\",\"abc\"]", NO_ACK);
    fake_sent_is("all chat [{\"sender\":\"Bob\",\"message\":\"ab\"}]\n2 error "
                 "[{\"event\":\"chat\",\"code\":\"too_long\",\"message\":\"longer than "
                 "max_message_bytes\"}]\n");
    fixture_close(&fixture);
}

static void limits_of_names_are_keys(void **state)
{
    (void)state;
    open_with("[plugin:auth]\nmin_length = 1\nmax_length = 2\nmax_bytes = 4\n");
    fake_event(1, "[\"login\",\"a\"]", NO_ACK);
    fake_event(2, "[\"login\",\"abc\"]", NO_ACK);
    fake_event(2, "[\"login\",\"\xe6\x97\xa5\xe6\x9c\xac\"]", NO_ACK); /* 6 bytes */
    fake_sent_is("1 welcome []\n2 loginNameBad [\"abc\"]\n2 loginNameBad "
                 "[\"\xe6\x97\xa5\xe6\x9c\xac\"]\n");
    fixture_close(&fixture);

    fixture_open(&fixture, "[plugin:auth]\nmin_length = 9\nmax_length = 8\n",
                 "plugins/.libs");
    assert_int_equal(fixture_load(&fixture), -1);
    assert_non_null(strstr(fixture.error.text,
                           "s.ini:2: plugin:auth.min_length: 9 is above max_length"));
    fixture_close(&fixture);

    fixture_open(&fixture,
                 "[plugin:auth]\nmin_length = 3\nmax_length = 3\nmax_bytes = 2\n",
                 "plugins/.libs");
    assert_int_equal(fixture_load(&fixture), -1);
    assert_non_null(strstr(fixture.error.text,
                           "s.ini:4: plugin:auth.max_bytes: 2 is below min_length"));
    fixture_close(&fixture);

    open_with("[plugin:auth]\nmin_length = 3\nmax_length = 3\nmax_bytes = 3\n");
    fixture_close(&fixture);
}

static void look_alikes_and_scripts_can_be_allowed(void **state)
{
    (void)state;
    open_with(
        "[plugin:auth]\nrestriction = any\nblock_lookalikes = no\n[plugin:lobby]\n");
    log_in(1, "Paul");
    fake_event(2, "[\"login\",\"PauI\"]", NO_ACK);
    fake_sent_is("2 welcome []\nall userJoined [\"PauI\"]\n");
    fake_event(3, "[\"login\",\"\xd0\xa0\xd0\xb0ul\"]", NO_ACK);
    fake_sent_is("3 welcome []\nall userJoined [\"\xd0\xa0\xd0\xb0ul\"]\n");
    fake_event(4, "[\"login\",\"PAUL\"]", NO_ACK); /* case never counts */
    fake_sent_is("4 loginNameExists [\"PAUL\"]\n");
    fixture_close(&fixture);
}

static void the_lobby_needs_auth(void **state)
{
    (void)state;
    fixture_open(&fixture, "[plugin:lobby]\n", "plugins/.libs");
    assert_int_equal(fixture_load(&fixture), -1);
    assert_non_null(strstr(fixture.error.text, "add a section [plugin:auth]"));
    fixture_close(&fixture);
}

/* ---- echo */

static void echo_sends_back_what_it_gets(void **state)
{
    (void)state;
    fake_event(1, "[\"echo\"]", NO_ACK);
    fake_event(1, "[\"echo\",1.0, {\"a\" : 18446744073709552000},\"\\ud800\"]", NO_ACK);
    fake_event(1, "[\"echo\",\"x\",2]", 4);
    fake_sent_is("1 echo []\n1 echo [1.0,{\"a\" : 18446744073709552000},\"\\ud800\"]\n1 "
                 "ack4 [\"x\",2]\n");
}

/* ---- skeleton */

static void the_skeleton_does_what_its_page_says(void **state)
{
    (void)state;
    open_with("[plugin:skeleton]\ngreeting = good evening\nmax_bytes = 5\n");
    fake_connect(5);
    fake_sent_is("5 greeting [\"good evening\"]\n");
    fake_event(5, "[\"note\",\"one\"]", 1);
    fake_event(1, "[\"note\",\"two\"]", 1);
    fake_event(5, "[\"note\",\"three\"]", 2);
    fake_sent_is("5 ack1 [{\"ok\":true,\"notes\":1,\"before\":null}]\n"
                 "1 ack1 [{\"ok\":true,\"notes\":1,\"before\":\"one\"}]\n"
                 "5 ack2 [{\"ok\":true,\"notes\":2,\"before\":\"two\"}]\n");
    fake_event(5, "[\"note\",5]", NO_ACK);
    fake_event(5, "[\"note\",\"longer\"]", 3);
    fake_sent_is(
        "5 error [{\"event\":\"note\",\"code\":\"bad_note\",\"message\":\"a note as "
        "text, please\"}]\n5 ack3 [{\"ok\":false,\"error\":{\"code\":\"too_long\","
        "\"message\":\"longer than max_bytes\"}}]\n");
    fake_disconnect(5, "transport close");
    fixture_close(&fixture);

    fixture_open(&fixture, "[plugin:skeleton]\ngreeting =\n", "plugins/.libs");
    assert_int_equal(fixture_load(&fixture), -1);
    assert_non_null(
        strstr(fixture.error.text, "s.ini:2: plugin:skeleton.greeting: is empty"));
    fixture_close(&fixture);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_login_is_welcomed_and_told_to_everyone),
        TEST(a_bad_name_is_answered_with_that_name),
        TEST(a_huge_argument_is_not_sent_back),
        TEST(a_refusal_tells_the_limits_in_force),
        TEST(a_name_that_is_taken_is_refused),
        TEST(a_name_that_looks_like_one_in_use_is_taken),
        TEST(a_second_login_on_a_socket_changes_nothing),
        TEST(names_of_javascript_are_names),
        TEST(a_name_is_free_once_its_socket_has_gone),
        TEST(a_socket_that_never_logged_in_leaves_silently),
        TEST(of_many_who_claim_a_name_one_gets_it),
        TEST(chat_reaches_everyone_as_it_was_written),
        TEST(an_empty_chat_is_ignored),
        TEST(chat_before_login_reaches_nobody),
        TEST(echo_sends_back_what_it_gets),
        cmocka_unit_test(notices_can_be_switched_off),
        cmocka_unit_test(limits_of_names_are_keys),
        cmocka_unit_test(look_alikes_and_scripts_can_be_allowed),
        cmocka_unit_test(the_lobby_needs_auth),
        cmocka_unit_test(the_skeleton_does_what_its_page_says),
    };

    return cmocka_run_group_tests_name("chat", tests, NULL, NULL);
}
