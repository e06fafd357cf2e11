// The pip client as a child process: fork and exec, no shell.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/file.h"
#include "formats/pull_sources.h"

extern char** environ;

namespace planeloom {
namespace {

namespace fs = std::filesystem;

uint64_t bytes_below(const fs::path& folder) {
  uint64_t bytes = 0;
  std::error_code error, ignored;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    const uint64_t size = it->is_regular_file(ignored) ? it->file_size(ignored) : 0;
    if (!ignored) bytes += size;
  }
  return bytes;
}

/// The end of what pip wrote, for the error message.
std::string tail(const fs::path& log) {
  constexpr size_t kShown = 800;
  const auto text = read_file(log, uint64_t{16} << 20);
  if (!text) return {};
  std::string end = text->substr(text->size() > kShown ? text->size() - kShown : 0);
  end.erase(end.find_last_not_of(" \n") + 1);
  return end;
}

/// The executable that PATH gives for a name: after fork() only simple system calls are safe.
fs::path find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const char* variable = std::getenv("PATH");
  std::string path = variable ? variable : "/usr/bin:/bin";
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find(':', begin), path.size());
    const fs::path candidate = fs::path(path.substr(begin, end - begin)) / name;
    if (end > begin && access(candidate.c_str(), X_OK) == 0) return candidate;
    begin = end + 1;
  }
  return {};
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (std::string& s : strings) out.push_back(s.data());
  out.push_back(nullptr);
  return out;
}

/// Starts the program with its output in `log`; 0 is never a child.
Result<pid_t> start(const fs::path& program, std::vector<std::string> arguments,
                    std::vector<std::string> environment, const fs::path& log) {
  const std::vector<char*> argv = pointers(arguments), envp = pointers(environment);
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  const pid_t parent = getpid();
  const pid_t child = null < 0 || out < 0 ? -1 : fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);  // pip does not outlive a killed pull
    const bool ready = getppid() == parent && dup2(null, STDIN_FILENO) >= 0 &&
                       dup2(out, STDOUT_FILENO) >= 0 && dup2(out, STDERR_FILENO) >= 0;
    if (ready) execve(program.c_str(), argv.data(), envp.data());
    _exit(127);
  }
  const int error = errno;
  if (null >= 0) close(null);
  if (out >= 0) close(out);
  if (child < 0) return fail("[pull] cannot start {}: {}", program.string(), std::strerror(error));
  return child;
}

/// Waits for pip while reporting what has arrived; Ctrl-C ends it.
Result<int> watch(pid_t child, const fs::path& folder, uint64_t total, Progress& progress) {
  int status = 0;
  for (;;) {
    const pid_t done = waitpid(child, &status, WNOHANG);
    if (done == child) break;
    if (done < 0 && errno != EINTR) return fail("[pull] waiting for pip: {}", std::strerror(errno));
    if (interrupted()) {
      kill(child, SIGTERM);
      while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
      }
      break;
    }
    const uint64_t bytes = bytes_below(folder);
    // The bar must not claim to be full while pip is at work.
    progress.update("pip download", total ? std::min(bytes, total - 1) : bytes, total);
    usleep(100'000);
  }
  if (interrupted()) return fail("[pull] interrupted; packages that are complete are kept");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

Status run_pip_download(const std::string& requirement, const fs::path& folder, uint64_t total,
                        Progress& progress) {
  const char* chosen = std::getenv("PLANELOOM_PYTHON");
  const std::string python = chosen && *chosen ? chosen : "python3";
  const fs::path program = find_program(python);
  if (program.empty())
    return fail("[pull] no {}: install Python 3 with pip, or set PLANELOOM_PYTHON", python);
  const fs::path log = folder / "pip.log", temporary = folder / "tmp";
  std::error_code error;
  fs::create_directories(temporary, error);
  if (error) return fail("[pull] {}: {}", temporary.string(), error.message());
  // pip downloads into TMPDIR first: below `folder`, its progress can be seen, and no file system
  // boundary is crossed.
  std::vector<std::string> environment{"TMPDIR=" + temporary.string()};
  for (char** e = environ; *e; ++e)
    if (std::strncmp(*e, "TMPDIR=", 7) != 0) environment.emplace_back(*e);
  PL_TRY(const pid_t child,
         start(program,
               {python, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input",
                "--disable-pip-version-check", "--progress-bar", "off", "-d", folder.string(), "--",
                requirement},
               std::move(environment), log));
  PL_TRY(const int code, watch(child, folder, total, progress));
  fs::remove_all(temporary, error);
  if (code == 0) return {};
  return fail("[pull] pip could not fetch {} (exit status {}):\n{}", requirement, code, tail(log));
}

}  // namespace planeloom
