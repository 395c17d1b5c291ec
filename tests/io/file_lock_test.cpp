#include "io/file_lock.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <optional>
#include <thread>

#include "rae/error.hpp"
#include "support/temp_folder.hpp"

namespace rae::test {
namespace {

using detail::FolderLock;
using detail::open_locked;

TEST(FileLock, IsHeldByOneAtATime) {
  const TempFolder folder;
  const std::string path = folder / "x";
  const int first = open_locked(path);
  ASSERT_GE(first, 0);
  EXPECT_EQ(open_locked(path), -1);
  ::close(first);
  const int second = open_locked(path);
  EXPECT_GE(second, 0);
  ::close(second);
  EXPECT_THROW((void)open_locked(folder / "none/x"), FileError);
}

// A lock is worth nothing if the locked file has lost its name to another one.
TEST(FileLock, TheLockedFileHasTheName) {
  const TempFolder folder;
  const std::string path = folder / "x";
  std::atomic<int> wrong{0}, locked{0};
  const auto work = [&](int number) {
    for (int i = 0; i < 2000; ++i) {
      const int descriptor = open_locked(path);
      if (descriptor < 0) continue;
      ++locked;
      struct stat opened {
      }, named{};
      if (::fstat(descriptor, &opened) != 0 || ::stat(path.c_str(), &named) != 0 ||
          opened.st_ino != named.st_ino)
        ++wrong;
      std::filesystem::rename(path, path + "-" + std::to_string(number));
      ::close(descriptor);
    }
  };
  std::thread other(work, 1);
  work(2);
  other.join();
  EXPECT_GT(locked, 100);
  EXPECT_EQ(wrong, 0);
}

TEST(FileLock, ARefusalNamesTheProcess) {
  const TempFolder folder;
  {
    const FolderLock lock(folder.path(), "training");
    const std::string message =
        message_of<FileError>([&] { const FolderLock second(folder.path(), "training"); });
    EXPECT_NE(message.find("process " + std::to_string(::getpid()) + " is training in this folder"),
              std::string::npos)
        << message;
  }
  EXPECT_TRUE(folder.entries().empty());
}

TEST(FileLock, EndsWithItsProcess) {
  const TempFolder folder;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const FolderLock lock(folder.path(), "training");
    (void)!::write(ready[1], "x", 1);
    for (;;) ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  const std::string message =
      message_of<FileError>([&] { const FolderLock lock(folder.path(), "training"); });
  EXPECT_NE(message.find("process " + std::to_string(child)), std::string::npos) << message;
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(folder.entries(), std::vector<std::string>{"lock"});
  EXPECT_NO_THROW(FolderLock(folder.path(), "training"));
  EXPECT_TRUE(folder.entries().empty());
  ::close(ready[0]);
  ::close(ready[1]);
}

}  // namespace
}  // namespace rae::test
