// The files of every command: an output is no input, its ending fits, "-" is stdin or stdout, pipes
// are read. Each rule is a table with a row for every option of every command.
#include <algorithm>

#include "rae/io/image.hpp"
#include "rae/io/npz.hpp"
#include "rae/io/safetensors.hpp"
#include "support/golden.hpp"
#include "support/tiny_bundle.hpp"
#include "tool/run_tool.hpp"

namespace rae::test {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

void write_latent(const std::string& path, const std::string& name) {
  const SafetensorsEntry entry{name, Tensor<float>(Shape{2, 16, 2, 2}, 0.5f)};  // (B, C, h, w)
  write_safetensors(path, {&entry, 1});
}

/// Files that every command can read.
class CommandFilesTest : public ToolTest {
 protected:
  void SetUp() override {
    tiny_bundle().save(path("m.safetensors"));
    Image(8, 8, 1, 77).save_png(path("in.png"), {{"note", "a picture"}});
    write_latent(path("z.safetensors"), "latent");
    write_latent(path("n.safetensors"), "noise");
    const SafetensorsEntry statistics[] = {
        {"mean", Tensor<double>(Shape{16, 2, 2}, 0.0)},  // (C, h, w)
        {"var", Tensor<double>(Shape{16, 2, 2}, 1.0)},   // (C, h, w)
        {"count", Tensor<std::int64_t>(Shape{1}, std::int64_t{5})}};
    write_safetensors(path("s.safetensors"), statistics);
    write_npz(path("set.npz"), Tensor<std::uint8_t>(Shape{3, 8, 8, 1}, std::uint8_t{9}));
    fs::create_directories(path("data/a"));
    Image(8, 8, 1, 20).save_png(path("data/a/1.png"));
    Image(8, 8, 1, 90).save_png(path("data/a/2.png"));
    write("names.txt", "one\ntwo\nthree\n");
    write("recipe.yaml", "{}");
  }

  /// The contents of every file, by name.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> contents() const {
    std::vector<std::pair<std::string, std::string>> out;
    for (const auto& entry : fs::recursive_directory_iterator(path("")))
      out.emplace_back(entry.path().string(),
                       entry.is_regular_file() ? slurp(entry.path().string()) : "");
    std::sort(out.begin(), out.end());
    return out;
  }

  /// Runs a shell command in the folder; "rae" is the program. It must succeed.
  [[nodiscard]] ToolResult shell(const std::string& command) const {
    const auto result = finish(start(
        {"-c", std::string("rae() { '") + RAE_TOOL + "' \"$@\"; }; " + command}, {}, "/bin/bash"));
    EXPECT_EQ(result.status, 0) << command << "\n" << result.err;
    return result;
  }
};

// --- An output is none of the inputs and no other output
struct SameFile {
  std::string name;
  Words command;      // OUT stands for the output
  std::string input;  // the file that OUT names
  std::string message;
};

void PrintTo(const SameFile& row, std::ostream* out) { *out << row.name; }

class SameFileTable : public CommandFilesTest, public testing::WithParamInterface<SameFile> {};

TEST_P(SameFileTable, IsRefusedInEverySpelling) {
  const SameFile& row = GetParam();
  const std::string ending = fs::path(row.input).extension().string();
  const bool file = fs::is_regular_file(path(row.input));
  fs::create_symlink(row.input, path("symbolic" + ending));
  Words spellings{row.input,       "./" + row.input,    ".//" + row.input,
                  path(row.input), "symbolic" + ending, "data/../" + row.input};
  if (file) {
    fs::create_hard_link(path(row.input), path("hard" + ending));
    spellings.push_back("hard" + ending);
  }
  const auto before = contents();
  for (const std::string& spelling : spellings) {
    Words arguments = row.command;
    std::replace(arguments.begin(), arguments.end(), std::string("OUT"), spelling);
    const auto result = rae(arguments);
    EXPECT_EQ(result.status, 2) << spelling << "\n" << result.err;
    EXPECT_TRUE(contains(result.err, "'" + spelling + "' " + row.message)) << spelling;
    EXPECT_TRUE(contents() == before) << spelling;
  }
}

const Words kTiny{"--model", "m.safetensors"};
Words with_model(Words arguments) {
  arguments.insert(arguments.end(), kTiny.begin(), kTiny.end());
  return arguments;
}

INSTANTIATE_TEST_SUITE_P(
    Table, SameFileTable,
    testing::Values(
        SameFile{"ReconstructPicture", with_model({"reconstruct", "in.png", "OUT"}), "in.png",
                 "is read by --image"},
        SameFile{"ReconstructArchive", with_model({"reconstruct", "set.npz", "OUT"}), "set.npz",
                 "is read by --image"},
        SameFile{"ReconstructOriginals",
                 with_model({"reconstruct", "set.npz", "x.npz", "--originals-out", "OUT"}),
                 "set.npz", "is read by --image"},
        SameFile{"EncodeModel", with_model({"encode", "in.png", "OUT"}), "m.safetensors",
                 "is read by --model"},
        SameFile{"DecodeImagesOut",
                 with_model({"decode", "z.safetensors", "x.png", "--images-out", "OUT"}),
                 "z.safetensors", "is read by --latent"},
        SameFile{"DecodeModel",
                 with_model({"decode", "z.safetensors", "x.png", "--images-out", "OUT"}),
                 "m.safetensors", "is read by --model"},
        SameFile{"GenerateLatentOut",
                 with_model({"generate", "--noise-in", "n.safetensors", "--latent-out", "OUT"}),
                 "n.safetensors", "is read by --noise-in"},
        SameFile{"GenerateImagesOut", with_model({"generate", "--images-out", "OUT"}),
                 "m.safetensors", "is read by --model"},
        SameFile{"GenerateInit", with_model({"generate", "--init", "in.png", "--out", "OUT"}),
                 "in.png", "is read by --init"},
        SameFile{
            "GenerateMask",
            with_model({"generate", "--init", "data/a/1.png", "--mask", "in.png", "--out", "OUT"}),
            "in.png", "is read by --mask"},
        SameFile{
            "GenerateClassifier",
            with_model({"generate", "--best-of", "2", "--classifier", "in.png", "--out", "OUT"}),
            "in.png", "is read by --classifier"},
        SameFile{"GeneratePreview",
                 with_model({"generate", "--init", "in.png", "--preview", "OUT"}), "in.png",
                 "is read by --init"},
        SameFile{"InterpolateA", with_model({"interpolate", "in.png", "data/a/1.png", "-o", "OUT"}),
                 "in.png", "is read by A"},
        SameFile{"InterpolateB", with_model({"interpolate", "data/a/1.png", "in.png", "-o", "OUT"}),
                 "in.png", "is read by B"},
        SameFile{"NeighboursIn", with_model({"neighbours", "in.png", "data", "--out", "OUT"}),
                 "in.png", "is read by IN"},
        SameFile{"GenerateJoin",
                 {"generate", "--join", "set.npz", "--out", "OUT"},
                 "set.npz",
                 "is read by --join"},
        SameFile{"VelocityNoise",
                 with_model({"velocity", "--noise-in", "n.safetensors", "--t", "0.5", "--labels",
                             "1", "--out", "OUT"}),
                 "n.safetensors", "is read by --noise-in"},
        SameFile{"StatsMerge",
                 {"stats", "--merge", "s.safetensors", "--out", "OUT"},
                 "s.safetensors",
                 "is read by --merge"},
        SameFile{"StatsModel", with_model({"stats", "--data", "data", "--out", "OUT"}),
                 "m.safetensors", "is read by --model"},
        SameFile{"Convert", {"convert", "m.safetensors", "OUT"}, "m.safetensors", "is read by IN"},
        SameFile{"ConvertClassifier",
                 {"convert", "m.safetensors", "OUT", "--pack", "auto", "--max-loss", "1%",
                  "--classifier", "n.safetensors"},
                 "n.safetensors",
                 "is read by --classifier"},
        SameFile{"TrainData",
                 {"train", "--recipe", "recipe.yaml", "--data", "data", "--out", "OUT"},
                 "data",
                 "is read by --data"},
        SameFile{"EvaluateData", with_model({"evaluate", "--data", "data", "--out", "OUT"}), "data",
                 "is read by --data"}),
    [](const auto& row) { return row.param.name; });

TEST_F(CommandFilesTest, TwoOutputsAreDifferentFiles) {
  const auto before = contents();
  for (const std::string other : {"x.safetensors", "./x.safetensors", "data//../x.safetensors"}) {
    const auto result =
        rae(with_model({"generate", "--latent-out", "x.safetensors", "--images-out", other}));
    EXPECT_EQ(result.status, 2) << other;
    EXPECT_TRUE(contains(result.err, "names the same file as --latent-out"));
  }
  EXPECT_TRUE(contents() == before);
}

/// The files that a configuration names are inputs, too.
TEST_F(CommandFilesTest, AnOutputIsNoFileOfAModelOfSeveralFiles) {
  fs::copy(data_path("golden/e2e_dinov2_ag"), path("G"), fs::copy_options::recursive);
  fs::create_symlink("G/encoder/model.safetensors", path("link.safetensors"));
  const auto before = contents();
  for (const std::string out : {"G/encoder/model.safetensors", "link.safetensors"})
    for (const Words& command :
         {Words{"convert", "G/config.yaml", out}, Words{"convert", "G/encoder", out},
          Words{"encode", "--config", "G/config.yaml", "in.png", out}}) {
      const auto result = rae(command);
      EXPECT_EQ(result.status, 2) << result.err;
      EXPECT_TRUE(contains(result.err, "'" + out + "' is "));
    }
  const auto folder = rae({"convert", "G/config.yaml", "G", "--to", "official", "--overwrite"});
  EXPECT_NE(folder.status, 0);
  EXPECT_TRUE(contents() == before);
}

TEST_F(CommandFilesTest, AFolderInsideTheDataIsRefused) {
  const auto before = contents();
  for (const Words& command :
       {with_model({"evaluate", "--data", "data", "--out", "data/evaluation"}),
        Words{"train", "--recipe", "recipe.yaml", "--data", "data", "--out", "data/run"}}) {
    const auto result = rae(command);
    EXPECT_EQ(result.status, 2) << result.err;
    EXPECT_TRUE(contains(result.err, "is inside 'data', which --data reads"));
  }
  EXPECT_TRUE(contents() == before);
}

// --- The ending fits the content
struct Ending {
  std::string name;
  Words command;  // OUT stands for the output
  Words wrong;
  std::string message;
};

void PrintTo(const Ending& row, std::ostream* out) { *out << row.name; }

class EndingTable : public CommandFilesTest, public testing::WithParamInterface<Ending> {};

TEST_P(EndingTable, OthersAreRefusedByName) {
  const auto before = contents();
  for (const std::string& wrong : GetParam().wrong) {
    Words arguments = GetParam().command;
    std::replace(arguments.begin(), arguments.end(), std::string("OUT"), wrong);
    const auto result = rae(arguments);
    EXPECT_EQ(result.status, 2) << wrong << "\n" << result.err;
    EXPECT_TRUE(contains(result.err, GetParam().message));
    EXPECT_TRUE(contains(result.err, "got "));
    EXPECT_TRUE(contains(result.err, "'" + wrong + "'"));
    EXPECT_TRUE(contents() == before) << wrong;
  }
}

const Words kNoSafetensors{"x.png", "x.npz", "x.pt", "x", "x.safetensors.gz", ".safetensors"};
const std::string kWantsSafetensors = "expected a name that ends in .safetensors";

INSTANTIATE_TEST_SUITE_P(
    Table, EndingTable,
    testing::Values(
        Ending{"Reconstruct",
               with_model({"reconstruct", "in.png", "OUT"}),
               {"b.jpg", "b.jpeg", "b.webp", "b.npz", "b"},
               "expected a name that ends in .png"},
        Ending{"ReconstructFolder",
               with_model({"reconstruct", "data/a", "OUT"}),
               {"b.png", "b.npy", "b"},
               "expected a name that ends in .npz"},
        Ending{"Originals",
               with_model({"reconstruct", "data/a", "x.npz", "--originals-out", "OUT"}),
               {"b.png", "b"},
               "expected a name that ends in .npz"},
        Ending{"Generate",
               with_model({"generate", "--out", "OUT"}),
               {"b.jpg", "b.safetensors", "b.npy"},
               "expected a name that ends in .png or .npz"},
        Ending{"Decode",
               with_model({"decode", "z.safetensors", "OUT"}),
               {"b.jpg", "b.webp"},
               "expected a name that ends in .png or .npz"},
        Ending{"GenerateLatents", with_model({"generate", "--latent-out", "OUT"}), kNoSafetensors,
               kWantsSafetensors},
        Ending{"GenerateImages", with_model({"generate", "--images-out", "OUT"}), kNoSafetensors,
               kWantsSafetensors},
        Ending{"DecodeImages",
               with_model({"decode", "z.safetensors", "x.png", "--images-out", "OUT"}),
               kNoSafetensors, kWantsSafetensors},
        Ending{"GeneratePreview",
               with_model({"generate", "--preview", "OUT"}),
               {"b.jpg", "b.npz"},
               "expected a name that ends in .png"},
        Ending{"Interpolate",
               with_model({"interpolate", "1", "2", "--out", "OUT"}),
               {"b.jpg", "b.safetensors"},
               "expected a name that ends in .png or .npz"},
        Ending{"Neighbours",
               with_model({"neighbours", "in.png", "data", "--out", "OUT"}),
               {"b.jpg", "b.npz"},
               "expected a name that ends in .png"},
        Ending{"Diagnose",
               {"diagnose", "--encoder", "m.safetensors", "--data", "data", "--out", "OUT"},
               {"b.htm", "b.json"},
               "expected a name that ends in .html"},
        Ending{"Encode", with_model({"encode", "in.png", "OUT"}), kNoSafetensors,
               kWantsSafetensors},
        Ending{"Velocity",
               with_model({"velocity", "--noise-in", "n.safetensors", "--t", "0.5", "--labels", "1",
                           "--out", "OUT"}),
               kNoSafetensors, kWantsSafetensors},
        Ending{"Stats",
               {"stats", "--merge", "s.safetensors", "--out", "OUT"},
               kNoSafetensors,
               kWantsSafetensors},
        Ending{"Convert", {"convert", "m.safetensors", "OUT"}, kNoSafetensors, kWantsSafetensors},
        Ending{"EvaluateSets",
               {"evaluate", "set.npz", "data", "--out", "OUT"},
               {"x.txt", "x"},
               "expected a name that ends in .json"},
        Ending{"Bench",
               {"bench", "--json", "OUT"},
               {"x.txt", "x"},
               "expected a name that ends in .json"},
        Ending{"ConvertToOfficial",
               {"convert", "m.safetensors", "OUT", "--to", "official"},
               {"x.yaml", "x.safetensors", "x.pt/", ""},
               "expected "},
        Ending{"Train",
               {"train", "--recipe", "recipe.yaml", "--data", "data", "--out", "OUT"},
               {"x.safetensors"},
               "expected a folder"},
        Ending{"Evaluate",
               with_model({"evaluate", "--data", "data", "--out", "OUT"}),
               {"x.json"},
               "expected a folder"}),
    [](const auto& row) { return row.param.name; });

// --- "-" is refused by name where it cannot be used
struct NoStream {
  std::string name;
  Words command;
  std::string message;
};

void PrintTo(const NoStream& row, std::ostream* out) { *out << row.name; }

class NoStreamTable : public CommandFilesTest, public testing::WithParamInterface<NoStream> {};

TEST_P(NoStreamTable, IsRefusedByName) {
  const auto before = contents();
  const auto result = rae(GetParam().command);
  EXPECT_EQ(result.status, 2) << result.err;
  EXPECT_TRUE(contains(result.err, GetParam().message));
  EXPECT_EQ(result.out, "");
  EXPECT_TRUE(contents() == before);
}

INSTANTIATE_TEST_SUITE_P(
    Table, NoStreamTable,
    testing::Values(NoStream{"TrainOut",
                             {"train", "-r", "recipe.yaml", "-d", "data", "-o", "-"},
                             "--out: '-' (stdout) cannot be a folder"},
                    NoStream{"TrainData",
                             {"train", "-r", "recipe.yaml", "-d", "-", "-o", "x"},
                             "--data: '-' (stdin) cannot be a folder"},
                    NoStream{"EvaluateOut", with_model({"evaluate", "-d", "data", "-o", "-"}),
                             "--out: '-' (stdout) cannot be a folder"},
                    NoStream{"EvaluateData", with_model({"evaluate", "-d", "-", "-o", "x"}),
                             "--data: '-' (stdin) cannot be a folder"},
                    NoStream{"EvaluateHistory",
                             {"evaluate", "--history", "-", "-d", "data", "-o", "x"},
                             "--history: '-' (stdin) cannot be a folder"},
                    NoStream{"StatsData",
                             {"stats", "--data", "-", "--out", "x.safetensors"},
                             "--data: '-' (stdin) cannot be a folder"},
                    NoStream{"ConvertOut",
                             {"convert", "m.safetensors", "-", "--to", "official"},
                             "OUT: '-' (stdout) cannot be a folder"},
                    NoStream{"ConvertData",
                             {"convert", "m.safetensors", "x.safetensors", "--pack", "auto",
                              "--max-loss", "1%", "--data", "-"},
                             "--data: '-' (stdin) cannot be a folder"},
                    NoStream{"TwoOutputs", with_model({"generate", "-o", "-", "--latent-out", "-"}),
                             "--latent-out: stdout is already written by --out"},
                    NoStream{"SeveralLatents", with_model({"encode", "data/a", "-"}),
                             "--out: '-' (stdout) cannot be several files"},
                    NoStream{"TwoInputs", {"evaluate", "-", "-"}, "B: stdin is already read by A"},
                    NoStream{"Join",
                             {"generate", "--join", "set.npz", "--out", "-"},
                             "--out must name the .npz file"}),
    [](const auto& row) { return row.param.name; });

// --- "-", /dev/stdin, /dev/stdout and pipes give the same bytes as files
struct Stream {
  std::string name;
  std::string with_file;  // a shell command that writes `file`
  std::string file;
  Words streams;  // shell commands that write the same to "stream"
};

void PrintTo(const Stream& row, std::ostream* out) { *out << row.name; }

class StreamTable : public CommandFilesTest, public testing::WithParamInterface<Stream> {};

TEST_P(StreamTable, GivesTheSameBytes) {
  (void)shell(GetParam().with_file);
  const std::string expected = slurp(path(GetParam().file));
  ASSERT_FALSE(expected.empty());
  for (const std::string& command : GetParam().streams) {
    const auto result = shell(command);
    EXPECT_TRUE(slurp(path("stream")) == expected) << command;
    EXPECT_EQ(result.err.find("/proc/"), std::string::npos) << result.err;
    fs::remove(path("stream"));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Table, StreamTable,
    testing::Values(
        Stream{"Reconstruct",
               "rae reconstruct -m m.safetensors in.png a.png",
               "a.png",
               {"rae reconstruct -m m.safetensors - - <in.png >stream",
                "cat in.png | rae reconstruct -m m.safetensors - - | cat >stream",
                "rae reconstruct -m m.safetensors <(cat in.png) /dev/stdout >stream",
                "rae reconstruct -m <(cat m.safetensors) /dev/stdin - <in.png >stream",
                "mkfifo p; cat p >stream & rae reconstruct -m m.safetensors in.png p; wait"}},
        Stream{"ReconstructSeveral",
               "rae reconstruct -m m.safetensors set.npz a.npz",
               "a.npz",
               {"rae reconstruct -m m.safetensors set.npz --out - >stream"}},
        Stream{"Encode",
               "rae encode -m m.safetensors in.png a.safetensors",
               "a.safetensors",
               {"rae encode -m m.safetensors - - <in.png >stream",
                "cat m.safetensors | rae encode -m - in.png - >stream"}},
        Stream{"Decode",
               "rae decode -m m.safetensors z.safetensors a.png",
               "a.png",
               {"cat z.safetensors | rae decode -m m.safetensors - - >stream",
                "rae decode -m m.safetensors <(cat z.safetensors) - >stream"}},
        Stream{"DecodeImages",
               "rae decode -m m.safetensors z.safetensors a.png --images-out a.safetensors",
               "a.safetensors",
               {"rae decode -m m.safetensors z.safetensors b.png --images-out - >stream"}},
        Stream{"Generate",
               "rae generate -m m.safetensors --noise-in n.safetensors --out a.png",
               "a.png",
               {"rae generate -m m.safetensors --noise-in n.safetensors --out - >stream",
                "cat n.safetensors | rae generate -m m.safetensors --noise-in - -o - >stream"}},
        Stream{"GenerateLatents",
               "rae generate -m m.safetensors --latent-out a.safetensors",
               "a.safetensors",
               {"rae generate -m m.safetensors --latent-out - >stream"}},
        Stream{"Velocity",
               "rae velocity -m m.safetensors --noise-in n.safetensors --t 0.5 --labels 1 "
               "--out a.safetensors",
               "a.safetensors",
               {"cat n.safetensors | rae velocity -m m.safetensors --noise-in - --t 0.5 "
                "--labels 1 --out - >stream"}},
        Stream{"Stats",
               "rae stats --merge s.safetensors --merge s.safetensors --out a.safetensors",
               "a.safetensors",
               {"rae stats --merge s.safetensors --merge - --out - <s.safetensors >stream"}},
        Stream{"Convert",
               "rae convert m.safetensors a.safetensors --class-names names.txt",
               "a.safetensors",
               {"rae convert - - --class-names names.txt <m.safetensors >stream",
                "cat names.txt | rae convert m.safetensors - --class-names - >stream"}},
        Stream{"Evaluate",
               "rae evaluate set.npz data --metrics frechet --out a.json --features m.safetensors",
               "a.json",
               {"rae evaluate - data --metrics frechet --out - --features m.safetensors "
                "<set.npz >stream",
                "rae evaluate <(cat set.npz) data --metrics frechet --out - --features "
                "<(cat m.safetensors) >stream"}},
        Stream{"Info",
               "rae info in.png | tail -n +2 >a",
               "a",
               {"rae info <(cat in.png) | tail -n +2 >stream",
                "cat in.png | rae info - | tail -n +2 >stream"}},
        Stream{"InfoOfABundle",
               "rae info m.safetensors | tail -n +2 >a",
               "a",
               {"cat m.safetensors | rae info - | tail -n +2 >stream"}},
        Stream{"InfoOfAnArchive",
               "rae info set.npz | tail -n +2 >a",
               "a",
               {"cat set.npz | rae info /dev/stdin | tail -n +2 >stream"}}),
    [](const auto& row) { return row.param.name; });

TEST_F(CommandFilesTest, MessagesNameStreamsAndLeaveNothingBehind) {
  write("text", "not a picture");
  const auto result = finish(start({"-c", std::string("TMPDIR=$PWD '") + RAE_TOOL +
                                              "' reconstruct -m m.safetensors - - <text >x"},
                                   {}, "/bin/bash"));
  EXPECT_EQ(result.status, 1);
  EXPECT_TRUE(contains(result.err, "rae: error: stdin"));
  for (const std::string& name : files()) EXPECT_NE(name.substr(0, 4), "rae-");
  const auto closed = finish(
      start({"-c", std::string("TMPDIR=$PWD '") + RAE_TOOL +
                       "' generate -m m.safetensors --latent-out - | true; exit ${PIPESTATUS[0]}"},
            {}, "/bin/bash"));
  EXPECT_EQ(closed.status, 1);
  EXPECT_TRUE(contains(closed.err, "cannot write to stdout: Broken pipe"));
  for (const std::string& name : files()) EXPECT_NE(name.substr(0, 4), "rae-");
}

TEST_F(CommandFilesTest, StdoutIsNoInput) {
  const std::string before = slurp(path("s.safetensors"));
  const auto result = finish(start(
      {"-c", std::string("'") + RAE_TOOL + "' stats --merge s.safetensors --out - >>s.safetensors"},
      {}, "/bin/bash"));
  EXPECT_EQ(result.status, 2);
  EXPECT_TRUE(contains(result.err, "is read by --merge"));
  EXPECT_EQ(slurp(path("s.safetensors")), before);
}

}  // namespace
}  // namespace rae::test
