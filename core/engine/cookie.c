/*
 * cookie.c - the cookie of a polling handshake: see cookie.h.
 *
 * It tells a load balancer which server has the session. We read no cookie: a session is
 * named by the sid in the query alone (T24).
 * Called by: open.c. Thread: any; no state. Source: RFC 6265.
 */
#include "core/engine/cookie.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/base/settings.h"

void cookie_print(const struct settings *settings, const char *sid, char *out,
                  size_t size)
{
    static const char *const same_site[] = {"; SameSite=Strict", "; SameSite=Lax",
                                            "; SameSite=None", ""};
    static const char *const priority[] = {"; Priority=Low", "; Priority=Medium",
                                           "; Priority=High", ""};
    char max_age[48] = "";

    *out = '\0';
    if (!settings->cookie)
        return;
    if (settings->cookie_max_age_ms > 0)
        snprintf(max_age, sizeof max_age, "; Max-Age=%" PRId64,
                 settings->cookie_max_age_ms / 1000);
    snprintf(out, size, "Set-Cookie: %s=%s%s%s%s%s%s%s%s%s%s%s\r\n",
             settings->cookie_name, sid, max_age,
             *settings->cookie_domain ? "; Domain=" : "", settings->cookie_domain,
             *settings->cookie_path ? "; Path=" : "", settings->cookie_path,
             settings->cookie_http_only ? "; HttpOnly" : "",
             settings->cookie_secure ? "; Secure" : "",
             settings->cookie_partitioned ? "; Partitioned" : "",
             priority[settings->cookie_priority], same_site[settings->cookie_same_site]);
}
