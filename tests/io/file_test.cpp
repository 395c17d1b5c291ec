#include "rae/io/file.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>
#include <vector>

#include "support/temp_folder.hpp"

namespace rae::test {
namespace {

TEST(MappedFile, ShowsContents) {
  const TempFolder folder;
  const auto path = folder.write("a.bin", "hello");
  MappedFile file(path);
  EXPECT_EQ(as_text(file.bytes()), "hello");
  MappedFile moved = std::move(file);
  EXPECT_EQ(as_text(moved.bytes()), "hello");
  EXPECT_TRUE(file.bytes().empty());  // NOLINT: the moved-from state is specified
  moved = MappedFile(folder.write("empty.bin", ""));
  EXPECT_TRUE(moved.bytes().empty());
}

TEST(MappedFile, NamesTheFileInErrors) {
  const TempFolder folder;
  EXPECT_NE(message_of<FileError>([&] {
              MappedFile{folder / "missing.bin"};
            }).find("missing.bin': No such file"),
            std::string::npos);
  EXPECT_NE(message_of<FileError>([&] { MappedFile{folder.path()}; }).find("directory"),
            std::string::npos);
  EXPECT_NE(message_of<FileError>([&] { MappedFile{"/dev/zero"}; }).find("not a regular file"),
            std::string::npos);
}

TEST(MappedFile, ReleasedBytesAreReadAgain) {
  const TempFolder folder;
  std::string text(5 * 4096 + 100, 'a');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i % 23);
  const MappedFile file(folder.write("a.bin", text));
  for (const auto& [first, count] : {std::pair<std::size_t, std::size_t>{0, 20580},
                                     {100, 9000},
                                     {4096, 4096},
                                     {20000, 0},
                                     {5000, 10}}) {
    file.release(file.bytes().subspan(first, count));
    EXPECT_EQ(as_text(file.bytes()), text) << first;
  }
  // Memory outside the file must keep its contents.
  const std::vector<std::byte> own(5 * 4096, std::byte{7});
  file.release(own);
  EXPECT_EQ(std::count(own.begin(), own.end(), std::byte{7}), 5 * 4096);
  MappedFile().release(own);
  EXPECT_EQ(own.front(), std::byte{7});
}

TEST(ReadFile, StopsAtTheLimit) {
  const TempFolder folder;
  const auto path = folder.write("a.bin", "12345");
  EXPECT_EQ(as_text(read_file(path, 5)), "12345");
  EXPECT_NE(message_of<FileError>([&] {
              (void)read_file(path, 4);
            }).find("a.bin': it has more than 4 bytes"),
            std::string::npos);
  // A device reports no size and has no end.
  EXPECT_THROW((void)read_file("/dev/zero", 1000), FileError);
  EXPECT_TRUE(read_file("/dev/null").empty());
  EXPECT_THROW((void)read_file(folder.path()), FileError);
}

TEST(AtomicFile, AppearsOnlyWithCommit) {
  const TempFolder folder;
  const auto path = folder / "out.txt";
  {
    AtomicFile file(path);
    file.write("first ");
    AtomicFile moved = std::move(file);
    moved.write("second");
    EXPECT_FALSE(std::filesystem::exists(path));
    moved.commit();
    EXPECT_EQ(slurp(path), "first second");
    EXPECT_THROW(moved.write("more"), FileError);
    EXPECT_THROW(moved.commit(), FileError);
  }
  EXPECT_EQ(folder.entries(), std::vector<std::string>{"out.txt"});
}

TEST(AtomicFile, KeepsTheOldFileWithoutCommit) {
  const TempFolder folder;
  const auto path = folder.write("out.txt", "old");
  {
    AtomicFile file(path);
    file.write("new");
  }
  EXPECT_EQ(slurp(path), "old");
  EXPECT_EQ(folder.entries(), std::vector<std::string>{"out.txt"});
  write_file_atomically(path, "new");
  EXPECT_EQ(slurp(path), "new");
}

TEST(AtomicFile, FollowsASymbolicLink) {
  const TempFolder folder;
  const auto target = folder.write("target.txt", "old");
  std::filesystem::create_symlink(target, folder / "link.txt");
  write_file_atomically(folder / "link.txt", "new");
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link.txt"));
  EXPECT_EQ(slurp(target), "new");
}

TEST(AtomicFile, FollowsLinksWithoutAFileAndRefusesCircles) {
  const TempFolder folder;
  std::filesystem::create_symlink("second.txt", folder / "first.txt");
  std::filesystem::create_symlink(folder / "target.txt", folder / "second.txt");
  write_file_atomically(folder / "first.txt", "new");
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "first.txt"));
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "second.txt"));
  EXPECT_EQ(slurp(folder / "target.txt"), "new");
  std::filesystem::create_symlink(folder / "b.txt", folder / "a.txt");
  std::filesystem::create_symlink(folder / "a.txt", folder / "b.txt");
  EXPECT_NE(
      message_of<FileError>([&] { write_file_atomically(folder / "a.txt", "new"); }).find("circle"),
      std::string::npos);
}

TEST(AtomicFile, KeepsThePermissionsOfTheFileThatItReplaces) {
  const TempFolder folder;
  namespace fs = std::filesystem;
  for (const fs::perms mode :
       {fs::perms(0600), fs::perms(0644), fs::perms(0755), fs::perms(0440)}) {
    const auto path = folder.write("a" + std::to_string(static_cast<int>(mode)), "old");
    fs::permissions(path, mode);
    fs::create_symlink(path, path + "-link");
    write_file_atomically(path, "new");
    EXPECT_EQ(fs::status(path).permissions(), mode);
    write_file_atomically(path + "-link", "newer");
    EXPECT_EQ(fs::status(path).permissions(), mode);
    EXPECT_EQ(slurp(path), "newer");
  }
}

TEST(AtomicFile, OtherHardLinksKeepTheOldContents) {
  const TempFolder folder;
  const auto path = folder.write("a.txt", "old");
  std::filesystem::create_hard_link(path, folder / "b.txt");
  write_file_atomically(path, "new");
  EXPECT_EQ(slurp(path), "new");
  EXPECT_EQ(slurp(folder / "b.txt"), "old");
}

TEST(AtomicFile, TemporariesOfDeadProcessesAreRemoved) {
  const TempFolder folder;
  const pid_t child = ::fork();
  if (child == 0) {
    AtomicFile file(folder / "a.txt");
    file.write("half");
    ::_exit(0);  // as a process that is killed, without destructors
  }
  ::waitpid(child, nullptr, 0);
  const std::vector<std::string> orphan = folder.entries();
  ASSERT_EQ(orphan.size(), 1u);
  EXPECT_EQ(orphan[0].rfind(concat("a.txt.tmp-", static_cast<long>(child), "-"), 0), 0u);
  AtomicFile own(folder / "b.txt");  // of this process, which lives
  for (const char* name : {"c.tmp", "c.tmp-x-0", "c.tmp-1-0", ".tmp-999999999-0"})
    folder.write(name, "");
  EXPECT_TRUE(remove_orphaned_temporaries(folder.path(), "b.txt").empty());
  EXPECT_EQ(remove_orphaned_temporaries(folder.path(), "a.txt"),
            std::vector<std::string>{folder / orphan[0]});
  folder.write(orphan[0], "");
  EXPECT_EQ(remove_orphaned_temporaries(folder.path()).size(), 1u);
  EXPECT_EQ(folder.entries().size(), 5u);
  EXPECT_TRUE(remove_orphaned_temporaries(folder / "none").empty());
  own.commit();
}

TEST(AtomicFile, ReportsAFullDiskAndABadTarget) {
  const TempFolder folder;
  const auto full =
      message_of<FileError>([] { write_file_atomically("/dev/full", std::string(100000, 'x')); });
  EXPECT_NE(full.find("'/dev/full': No space left"), std::string::npos) << full;
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/full"));
  EXPECT_NE(
      message_of<FileError>([&] { AtomicFile{folder / "no/such/folder.txt"}; }).find("folder.txt"),
      std::string::npos);
  EXPECT_THROW(AtomicFile{folder.path()}, FileError);
  EXPECT_THROW(AtomicFile{""}, FileError);
  EXPECT_TRUE(folder.entries().empty());
}

}  // namespace
}  // namespace rae::test
