/*
 * elf_file.c - the headers of a shared object: see elf_file.h.
 *
 * Called by: plugin.c. Thread: start.
 */
#include "core/plugin/elf_file.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Ours to compare with; the linker puts it there. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

enum { SEGMENTS_MAX = 64 }; /* a shared object has about ten */

/* len bytes at offset, or -1: the file has fewer. */
static int read_at(int fd, void *out, size_t len, uint64_t offset)
{
    char *at = out;

    while (len > 0) {
        ssize_t got = offset > INT64_MAX ? 0 : pread(fd, at, len, (off_t)offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return -1;
        at += got;
        len -= (size_t)got;
        offset += (uint64_t)got;
    }
    return 0;
}

/* Whether len bytes at offset lie within size. */
static bool lies_within(uint64_t offset, uint64_t len, uint64_t size)
{
    return offset <= size && len <= size - offset;
}

static const char *complaint_about_head(const ElfW(Ehdr) * head)
{
    if (memcmp(head->e_ident, ELFMAG, SELFMAG) != 0)
        return "is no shared object: give the .so that the compiler has made";
    if (head->e_ident[EI_CLASS] != __ehdr_start.e_ident[EI_CLASS] ||
        head->e_ident[EI_DATA] != __ehdr_start.e_ident[EI_DATA] ||
        head->e_machine != __ehdr_start.e_machine)
        return "is for another kind of machine: build it for this one";
    if (head->e_type != ET_DYN)
        return "is no shared object, but a program or a part of one: link it with "
               "-shared";
    return NULL;
}

/* What the file says it has must be there: segments, and the table of sections at its end. */
static bool is_whole(int fd, const ElfW(Ehdr) * head, uint64_t size)
{
    ElfW(Phdr) segment;

    if (head->e_phentsize != sizeof segment || head->e_phnum > SEGMENTS_MAX ||
        !lies_within(head->e_shoff, (uint64_t)head->e_shnum * head->e_shentsize, size))
        return false;
    for (unsigned i = 0; i < head->e_phnum; i++) {
        if (read_at(fd, &segment, sizeof segment,
                    (uint64_t)head->e_phoff + i * sizeof segment) < 0 ||
            !lies_within(segment.p_offset, segment.p_filesz, size))
            return false;
    }
    return true;
}

static int check(int fd, const char *path, hop_error *error)
{
    ElfW(Ehdr) head;
    const char *complaint;
    struct stat stat;

    if (fstat(fd, &stat) < 0) {
        hop_error_set(error, "cannot open %s: %s", path, strerror(errno));
        return -1;
    }
    memset(&head, 0, sizeof head);
    /* A shorter file is no shared object either, or one that is cut off within its head. */
    if (read_at(fd, &head, sizeof head, 0) < 0 &&
        memcmp(head.e_ident, ELFMAG, SELFMAG) == 0)
        complaint = "is cut off: copy or build it again";
    else
        complaint = complaint_about_head(&head);
    if (!complaint && !is_whole(fd, &head, (uint64_t)stat.st_size))
        complaint = "is cut off: copy or build it again";
    if (!complaint)
        return 0;
    hop_error_set(error, "%s %s", path, complaint);
    return -1;
}

int elf_file_check(const char *path, hop_error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int result;

    if (fd < 0) {
        hop_error_set(error, "cannot open %s: %s", path, strerror(errno));
        return -1;
    }
    result = check(fd, path, error);
    close(fd);
    return result;
}
