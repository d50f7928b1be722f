/*
 * elf_file.h - whether a file is a whole shared object of this machine, told before dlopen() maps it.
 *
 * dlopen() believes the file's own numbers: one that was cut off in a copy kills the process with
 * SIGBUS, and one of another machine is called "no such file". Called by: plugin.c. Thread: start.
 */
#ifndef PLUGIN_ELF_FILE_H
#define PLUGIN_ELF_FILE_H

#include <sockhop/types.h>

/* 0, or -1 with the reason. */
int elf_file_check(const char *path, hop_error *error);

#endif
