/*
 * plugin.c - one plugin's file: found, opened, its descriptor checked.
 *
 * Called by: loader.c. Thread: start.
 */
#include "core/plugin/plugin.h"

#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sockhop/log.h>

#include "core/base/mem.h"
#include "core/base/running.h"
#include "core/base/text.h"
#include "core/plugin/elf_file.h"
#include "core/plugin/owner.h"
#include "core/plugin/plugin_state.h"

static const char section_prefix[] = "plugin:";

/* ---- names */

bool plugin_name_is_valid(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");

    return name[len] == '\0' && len >= 1 && len <= PLUGIN_NAME_MAX && *name >= 'a' &&
           *name <= 'z';
}

const char *plugin_section_name(const char *section)
{
    size_t len = strlen(section_prefix);

    return strncmp(section, section_prefix, len) == 0 ? section + len : NULL;
}

bool plugin_is_disabled(const struct config *config, const char *section)
{
    static const char *const words[] = {"no", "false", "off", "0"};
    const char *value = config_get(config, section, "enabled");

    for (size_t i = 0; value && i < sizeof words / sizeof *words; i++)
        if (strcmp(value, words[i]) == 0)
            return true;
    return false;
}

/* ---- the file */

/* plugin_dir/NAME.so, or `file`, which counts from plugin_dir too. Owned by the caller. */
static char *find_path(const struct settings *settings, const char *name,
                       const char *file)
{
    const char *dir = *settings->plugin_dir ? settings->plugin_dir : ".";
    char *path;

    if (file && *file == '/')
        return mem_strdup(file);
    if (asprintf(&path, "%s/%s%s", dir, file ? file : name, file ? "" : ".so") < 0)
        mem_exhausted(strlen(dir)); /* at least */
    return path;
}

/* What dlopen() could not find, told as what it means. */
static void explain_dlerror(const char *path, const char *text, hop_error *error)
{
    static const char mark[] = "undefined symbol: ";
    const char *symbol = text ? strstr(text, mark) : NULL;

    if (symbol && strncmp(symbol + strlen(mark), "hop_", 4) == 0) {
        symbol += strlen(mark);
        hop_error_set(error,
                      "%s: %.*s is missing: built for a newer sockhop, this one has "
                      "interface %d.%d: update sockhop or rebuild the plugin",
                      path, (int)strcspn(symbol, " ,"), symbol, HOP_ABI, HOP_MINOR);
        return;
    }
    hop_error_set(error, "cannot open %s: %s: install what it needs, or rebuild it", path,
                  text ? text : "unknown reason");
}

/* Who may write to the folder puts another file in the place of ours; in one with the sticky
 * bit, as /tmp has it, only the file's owner may. path may be a link: its target counts. */
static int check_folder(const char *path, hop_error *error)
{
    char *real = realpath(path, NULL);
    char *slash = real ? strrchr(real, '/') : NULL;
    struct stat status;
    int result = -1;

    if (!slash) {
        hop_error_set(error, "cannot open %s: %s", path, strerror(errno));
        goto done;
    }
    slash[slash == real] = '\0'; /* "/" itself keeps its slash */
    if (stat(real, &status) < 0)
        hop_error_set(error, "cannot open %s: %s", real, strerror(errno));
    else if ((status.st_mode & S_IWOTH) && !(status.st_mode & S_ISVTX))
        hop_error_set(error, "%s lies in %s, to which everybody may write: chmod o-w it",
                      path, real);
    else
        result = 0;

done:
    free(real);
    return result;
}

static int check_file(const char *path, hop_error *error)
{
    struct stat status;

    if (stat(path, &status) < 0) {
        if (errno == ENOENT)
            hop_error_set(error,
                          "no such file %s: install it, fix plugin_dir, or set "
                          "enabled = no",
                          path);
        else
            hop_error_set(error, "cannot open %s: %s", path, strerror(errno));
        return -1;
    }
    if (!S_ISREG(status.st_mode)) {
        hop_error_set(
            error, "%s is not a regular file: name the file itself, or install it anew",
            path);
        return -1;
    }
    if (status.st_mode & S_IWOTH) {
        hop_error_set(error, "%s may be written by everybody: chmod o-w it", path);
        return -1;
    }
    if (check_folder(path, error) < 0)
        return -1;
    return elf_file_check(path, error);
}

/* ---- the descriptor */

/* Checks in the order in which members may be trusted: size and ABI come first. */
static int check_entry(const struct plugin *plugin, const hop_plugin *entry,
                       hop_error *error)
{
    const char *path = plugin->path;
    const size_t least = offsetof(hop_plugin, free) + sizeof entry->free;

    if (entry->size < offsetof(hop_plugin, minor) || entry->abi != HOP_ABI) {
        hop_error_set(
            error, "%s: built for plugin ABI %d, this sockhop has %d: rebuild it", path,
            entry->size < offsetof(hop_plugin, minor) ? -1 : entry->abi, HOP_ABI);
        return -1;
    }
    if (entry->size < least) {
        hop_error_set(error,
                      "%s: its descriptor has %zu bytes of at least %zu: start it "
                      "with HOP_PLUGIN()",
                      path, entry->size, least);
        return -1;
    }
    if (entry->minor > HOP_MINOR) {
        hop_error_set(error,
                      "%s: built for interface %d.%d, this sockhop has %d.%d: update "
                      "sockhop or rebuild the plugin",
                      path, entry->abi, entry->minor, HOP_ABI, HOP_MINOR);
        return -1;
    }
    if (entry->key_size < offsetof(hop_config_key, help) ||
        entry->key_size > sizeof(hop_config_key)) {
        hop_error_set(error, "%s: its keys have %zu bytes of %zu: rebuild it", path,
                      entry->key_size, sizeof(hop_config_key));
        return -1;
    }
    if (!entry->name || strcmp(entry->name, plugin->name) != 0) {
        hop_error_set(error, "%s holds the plugin \"%s\": name its section [plugin:%s]",
                      path, entry->name ? entry->name : "",
                      entry->name ? entry->name : "");
        return -1;
    }
    if (!entry->version || !*entry->version || strpbrk(entry->version, " \t\r\n\"\\")) {
        hop_error_set(error, "%s: its version is empty or holds blanks or quotes", path);
        return -1;
    }
    if (!utf8_is_valid(entry->version, strlen(entry->version)) ||
        (entry->summary && !utf8_is_valid(entry->summary, strlen(entry->summary)))) {
        hop_error_set(error, "%s: its version or its summary is no UTF-8", path);
        return -1;
    }
    if (!entry->init) {
        hop_error_set(error, "%s: its descriptor has no init()", path);
        return -1;
    }
    return 0;
}

/* All of the file, as it is now. */
static int copy_bytes(int from, int to)
{
    char buffer[65536];
    ssize_t n;

    while ((n = read(from, buffer, sizeof buffer)) > 0)
        for (ssize_t done = 0, m; done < n; done += m)
            if ((m = write(to, buffer + done, (size_t)(n - done))) < 0)
                return -1;
    return n < 0 ? -1 : 0;
}

/* The descriptor is kept: by its name the linker knows one copy from another. */
static int copy_code(struct plugin *plugin, hop_error *error)
{
    int from = open(plugin->path, O_RDONLY | O_CLOEXEC);

    plugin->code_fd = memfd_create(plugin->name, MFD_CLOEXEC);
    if (from >= 0 && plugin->code_fd >= 0 && copy_bytes(from, plugin->code_fd) == 0) {
        close(from);
        return 0;
    }
    if (errno == EPERM)
        hop_error_set(error,
                      "%s: server.seccomp lets a server that runs load no code: restart "
                      "it, or turn that off",
                      plugin->path);
    else
        hop_error_set(error, "cannot copy %s: %s", plugin->path, strerror(errno));
    if (from >= 0)
        close(from);
    return -1;
}

static void note_file(struct plugin *plugin)
{
    struct stat status;

    if (stat(plugin->path, &status) < 0)
        return;
    plugin->changed_at = status.st_mtim;
    plugin->inode = status.st_ino;
    plugin->size = status.st_size;
}

bool plugin_file_has_changed(const struct plugin *plugin)
{
    struct stat status;

    return stat(plugin->path, &status) == 0 &&
           (status.st_ino != plugin->inode || status.st_size != plugin->size ||
            status.st_mtim.tv_sec != plugin->changed_at.tv_sec ||
            status.st_mtim.tv_nsec != plugin->changed_at.tv_nsec);
}

static int open_code(struct plugin *plugin, enum plugin_source source, hop_error *error)
{
    const hop_plugin *entry;
    char copy[32];

    if (check_file(plugin->path, error) < 0)
        return -1;
    note_file(plugin);
    if (source == PLUGIN_COPY && copy_code(plugin, error) < 0)
        return -1;
    snprintf(copy, sizeof copy, "/proc/self/fd/%d", plugin->code_fd);
    if (source == PLUGIN_COPY && elf_file_check(copy, error) < 0) {
        hop_error_set(error, "%s is being written: try again", plugin->path);
        return -1;
    }
    plugin->code =
        dlopen(source == PLUGIN_COPY ? copy : plugin->path, RTLD_NOW | RTLD_LOCAL);
    if (!plugin->code) {
        explain_dlerror(plugin->path, dlerror(), error);
        return -1;
    }
    entry = dlsym(plugin->code, "hop_plugin_entry");
    if (!entry) {
        hop_error_set(error, "%s exports no hop_plugin_entry: it is no plugin of sockhop",
                      plugin->path);
        return -1;
    }
    if (check_entry(plugin, entry, error) < 0)
        return -1;
    memcpy(&plugin->entry, entry,
           entry->size < sizeof plugin->entry ? entry->size : sizeof plugin->entry);
    return 0;
}

/* ---- */

/* Nothing of the file has been looked at yet. The name is valid. */
static struct plugin *plugin_new(const struct settings *settings,
                                 const struct config *config, const char *section)
{
    struct plugin *plugin = mem_calloc(1, sizeof *plugin);
    const char *file = config_get(config, section, "file");

    plugin->code_fd = -1;
    plugin->name = mem_strdup(plugin_section_name(section));
    plugin->shown = running_name(plugin->name);
    plugin->section = mem_strdup(section);
    plugin->path = find_path(settings, plugin->name, file && *file ? file : NULL);
    return plugin;
}

struct plugin *plugin_open(const struct settings *settings, const struct config *config,
                           const char *section, enum plugin_source source,
                           hop_error *error)
{
    const char *name = plugin_section_name(section);
    struct plugin *plugin;
    hop_error reason;

    assert(name); /* the loader asks for plugins' sections only */
    if (!plugin_name_is_valid(name)) {
        config_error(config, section, NULL, error,
                     "\"%s\" is no plugin's name: use a-z, 0-9, '_' and '-', a letter "
                     "first, at most %d",
                     name, PLUGIN_NAME_MAX);
        return NULL;
    }
    plugin = plugin_new(settings, config, section);
    if (open_code(plugin, source, &reason) < 0) {
        config_error(config, section, NULL, error, "%s", reason.text);
        goto fail;
    }
    if (plugin_fill_state(plugin, config, error) < 0 ||
        plugin_check_state(plugin, config, plugin->state, error) < 0)
        goto fail;
    return plugin;

fail:
    if (source == PLUGIN_COPY)
        plugin_retire(plugin);
    else
        plugin_free(plugin);
    return NULL;
}

int plugin_check_disabled(const struct settings *settings, const struct config *config,
                          const char *section, hop_error *error)
{
    const char *name = plugin_section_name(section);
    struct plugin *plugin;
    hop_error reason;
    int result = 0;

    assert(name);
    if (!plugin_name_is_valid(name))
        return 0;
    plugin = plugin_new(settings, config, section);
    if (open_code(plugin, PLUGIN_FILE, &reason) == 0)
        result = plugin_fill_state(plugin, config, error);
    plugin_free(plugin);
    return result;
}

void plugin_retire(struct plugin *plugin)
{
    plugin->has_run = false;
    plugin_free(plugin);
}

struct plugin *plugin_describe(const struct settings *settings,
                               const struct config *config, const char *section,
                               hop_error *error)
{
    struct plugin *plugin = plugin_new(settings, config, section);
    hop_error reason;

    if (open_code(plugin, PLUGIN_FILE, &reason) == 0 &&
        plugin_join_keys(plugin, &reason) == 0)
        return plugin;
    config_error(config, section, NULL, error, "%s", reason.text);
    plugin_free(plugin);
    return NULL;
}

/* Code that the linker keeps all the same (C++ has such) keeps its name: the descriptor. */
static void close_code(struct plugin *plugin)
{
    char copy[32];
    void *still;

    owner_unmap(plugin);
    dlclose(plugin->code);
    if (plugin->code_fd < 0)
        return;
    snprintf(copy, sizeof copy, "/proc/self/fd/%d", plugin->code_fd);
    still = dlopen(copy, RTLD_NOW | RTLD_NOLOAD);
    if (!still) {
        close(plugin->code_fd);
        return;
    }
    dlclose(still);
    hop_log(HOP_WARN,
            "plugin.code_stays plugin=%s hint=\"the linker does not unload it\"",
            plugin->name);
}

void plugin_free(struct plugin *plugin)
{
    if (!plugin)
        return;
    if (plugin->code && !plugin->has_run)
        close_code(plugin);
    else if (plugin->code_fd >=
             0) /* code that stays needs no name: no other comes any more */
        close(plugin->code_fd);
    plugin_free_state(plugin);
    free(plugin->path);
    free(plugin->section);
    free(plugin->name);
    free(plugin);
}
