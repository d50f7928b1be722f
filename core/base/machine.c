/*
 * machine.c - what of the machine this process may use: see machine.h.
 *
 * Called by: settings.c. Thread: any.
 * Source: cgroups(7); Linux admin-guide cgroup-v2.rst (memory.max), cgroup-v1/memory.rst.
 */
#include "core/base/machine.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/text.h"

enum { PATH_SIZE = 4096 + 256 };

int machine_cores(void)
{
    cpu_set_t cpus;
    long online;

    if (sched_getaffinity(0, sizeof cpus, &cpus) == 0)
        return CPU_COUNT(&cpus);
    online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 && online < CPU_SETSIZE ? (int)online : 1;
}

/* ---- memory */

/* A file's number; UINT64_MAX when it has none ("max", or no such file). */
static uint64_t read_limit(const char *path)
{
    FILE *file = fopen(path, "re");
    char text[32];
    bool is_number;

    if (!file)
        return UINT64_MAX;
    is_number = fgets(text, sizeof text, file) && *text >= '0' && *text <= '9';
    fclose(file);
    return is_number ? strtoull(text, NULL, 10) : UINT64_MAX;
}

/* The least limit of a group and of those above it. Where a container does not see the
 * groups above, its own is mounted as the top. */
static uint64_t least_limit(const char *root, const char *mount, const char *group,
                            const char *name)
{
    char folder[PATH_SIZE], path[PATH_SIZE + 64];
    uint64_t least = UINT64_MAX, limit;
    size_t mount_len;

    if (snprintf(folder, sizeof folder, "%s%s%s", root, mount, group) >=
        (int)sizeof folder)
        return UINT64_MAX;
    mount_len = strlen(root) + strlen(mount);
    for (;;) {
        size_t len = strlen(folder);

        while (len > mount_len && folder[len - 1] == '/')
            folder[--len] = '\0';
        snprintf(path, sizeof path, "%s/%s", folder, name);
        limit = read_limit(path);
        if (limit < least)
            least = limit;
        if (len <= mount_len)
            return least;
        *strrchr(folder, '/') = '\0';
    }
}

/* A line of /proc/self/cgroup: "0::/group" (version 2), "4:memory:/group" (version 1). */
static uint64_t limit_of_line(const char *root, char *line)
{
    char *names = strchr(line, ':');
    char *group = names ? strchr(names + 1, ':') : NULL;

    if (!group)
        return UINT64_MAX;
    *group++ = '\0';
    group[strcspn(group, "\n")] = '\0';
    if (strcmp(names, ":") == 0)
        return least_limit(root, "/sys/fs/cgroup", group, "memory.max");
    names++;
    if (list_has(names, "memory"))
        return least_limit(root, "/sys/fs/cgroup/memory", group, "memory.limit_in_bytes");
    return UINT64_MAX;
}

static uint64_t group_limit(const char *root)
{
    char path[PATH_SIZE], line[PATH_SIZE];
    uint64_t least = UINT64_MAX;
    FILE *file;

    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    file = fopen(path, "re");
    if (!file)
        return least;
    while (fgets(line, sizeof line, file)) {
        uint64_t limit = limit_of_line(root, line);

        if (limit < least)
            least = limit;
    }
    fclose(file);
    return least;
}

uint64_t machine_memory(const char *root)
{
    uint64_t all = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGE_SIZE);
    uint64_t limit = group_limit(root);

    return limit < all ? limit : all;
}
