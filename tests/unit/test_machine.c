/*
 * test_machine.c - core/base/machine.c: memory as control groups limit it, on trees of
 * files made for the test.
 */
#include "core/base/machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_MAX = 6 };

struct file {
    const char *path, *text;
};

/* With its folders. */
static void write_file(const char *root, const struct file *file)
{
    char path[512];
    FILE *out;

    snprintf(path, sizeof path, "%s%s", root, file->path);
    for (char *at = path + strlen(root) + 1; (at = strchr(at, '/')); at++) {
        *at = '\0';
        mkdir(path, 0700);
        *at = '/';
    }
    out = fopen(path, "w");
    assert_non_null(out);
    fputs(file->text, out);
    fclose(out);
}

static int remove_one(const char *path, const struct stat *info, int kind,
                      struct FTW *where)
{
    (void)info;
    (void)kind;
    (void)where;
    return remove(path);
}

static void the_least_limit_of_all_groups_counts(void **state)
{
    static const uint64_t none = UINT64_MAX;
    static const struct {
        struct file files[FILES_MAX];
        uint64_t memory; /* none: the machine's */
    } rows[] = {
        {{{NULL, NULL}}, none},
        {{{"/proc/self/cgroup", ""}}, none},
        {{{"/proc/self/cgroup", "nonsense\n::\n0\n0:\n:::\n\n"}}, none},
        {{{"/proc/self/cgroup", "0::/a/b\n"}}, none},
        {{{"/proc/self/cgroup", "0::/a/b\n"}, {"/sys/fs/cgroup/a/b/memory.max", "max\n"}},
         none},
        {{{"/proc/self/cgroup", "0::/a/b\n"},
          {"/sys/fs/cgroup/a/b/memory.max", "1000\n"}},
         1000},
        {{{"/proc/self/cgroup", "0::/a/b\n"},
          {"/sys/fs/cgroup/a/b/memory.max", "max\n"},
          {"/sys/fs/cgroup/a/memory.max", "2000\n"},
          {"/sys/fs/cgroup/memory.max", "3000\n"}},
         2000},
        {{{"/proc/self/cgroup", "0::/\n"}, {"/sys/fs/cgroup/memory.max", "4000\n"}},
         4000},
        {{{"/proc/self/cgroup", "0::/not/visible\n"},
          {"/sys/fs/cgroup/memory.max", "5000\n"}},
         5000},
        {{{"/proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/m\n0::/\n"},
          {"/sys/fs/cgroup/memory/m/memory.limit_in_bytes", "6000\n"},
          {"/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "1\n"}},
         6000},
        {{{"/proc/self/cgroup", "4:hugetlb,memory:/m\n0::/\n"},
          {"/sys/fs/cgroup/memory/m/memory.limit_in_bytes", "9223372036854771712\n"},
          {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "7000\n"}},
         7000},
        {{{"/proc/self/cgroup", "4:memory:/m\n"},
          {"/sys/fs/cgroup/memory/m/memory.limit_in_bytes", "9223372036854771712\n"}},
         none},
        {{{"/proc/self/cgroup", "4:memory:/\n0::/a\n"},
          {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "9000\n"},
          {"/sys/fs/cgroup/a/memory.max", "8000\n"}},
         8000},
    };
    uint64_t all = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGE_SIZE);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char root[] = "/tmp/sockhop-machine-XXXXXX";

        assert_non_null(mkdtemp(root));
        for (int n = 0; n < FILES_MAX && rows[i].files[n].path; n++)
            write_file(root, &rows[i].files[n]);
        assert_int_equal(machine_memory(root),
                         rows[i].memory == none ? all : rows[i].memory);
        nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    }
}

static void this_machine_has_some_of_each(void **state)
{
    (void)state;
    assert_in_range(machine_cores(), 1, 1 << 16);
    assert_true(machine_memory("") > 1 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_limit_of_all_groups_counts),
        cmocka_unit_test(this_machine_has_some_of_each),
    };

    return cmocka_run_group_tests_name("machine", tests, NULL, NULL);
}
