// Runs that are killed at random moments, with changes of recipe, data and initial weights in
// between, end with the model of an unbroken run of the last recipe, or are refused, or say in the
// model which changes of the data were accepted. Between them `outlook_of_stages` changes nothing.
//
// The number of rounds is 8, or RAE_KILL_ROUNDS; the seed is 1, or RAE_KILL_SEED.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <thread>

#include "rae/formats/bundle.hpp"
#include "rae/train/stage_outlook.hpp"
#include "support/picture_folder.hpp"

namespace rae::test {
namespace {

namespace fs = std::filesystem;

constexpr int kRefused = 3;

/// A number from the environment.
unsigned number(const char* name, unsigned fallback) {
  const char* const text = std::getenv(name);
  return text == nullptr ? fallback : static_cast<unsigned>(std::atoi(text));
}

/// The exit status of `action` in a child process, which is killed after `microseconds` unless that
/// is 0; nothing when it was killed. This process starts no threads, so that
/// it can be copied.
std::optional<int> in_child(const std::function<int()>& action, std::int64_t microseconds = 0) {
  const auto start = std::chrono::steady_clock::now();
  const pid_t child = ::fork();
  if (child == 0) {
    int status = 1;
    try {
      status = action();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "unexpected: %s\n", error.what());
    }
    ::_exit(status);
  }
  int status = 0;
  while (::waitpid(child, &status, microseconds > 0 ? WNOHANG : 0) == 0) {
    if (std::chrono::steady_clock::now() - start > std::chrono::microseconds(microseconds)) {
      ::kill(child, SIGKILL);
      microseconds = 0;
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  }
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  if (WTERMSIG(status) == SIGKILL) return std::nullopt;
  return 128 + WTERMSIG(status);  // as a shell reports it
}

/// A recipe and its data, which change, and the folder of its run.
class KilledRun {
 public:
  explicit KilledRun(std::uint32_t seed) : random_(seed) {
    write_picture_folder(data_);
    for (const char* change : {"model.dit.num_classes=3", "encoder.train.checkpoint_every=1",
                               "decoder.train.checkpoint_every=2", "decoder.train.decay_end_step=4",
                               "encoder.train.decay_end_step=4", "dit.train.decay_end_step=6"})
      recipe_.apply_override(change);
  }

  [[nodiscard]] std::string folder() const { return out_ / "run"; }
  [[nodiscard]] const std::string& history() const { return history_; }
  /// True when a run went on although pictures had changed.
  [[nodiscard]] bool accepted() const { return accepts_; }
  /// The bundle from which runs may start.
  void set_initial_model(const std::string& path) { other_model_ = path; }

  /// Changes the recipe or the data, in one of the ways of a user.
  void change() {
    before_ = recipe_;
    undo_ = {};
    switch (random_() % 15) {
      case 0: return train_again("encoder", concat("encoder.train.lr=", rate()));
      case 1: return train_again("decoder", concat("decoder.train.lr=", rate()));
      case 2: return train_again("dit", concat("dit.train.lr=", rate()));
      case 3: return set(concat("model.name=name", random_() % 100));
      case 4: return set(concat("encoder.train.steps=", 4 + random_() % 3));
      case 5: return set(concat("dit.train.steps=", 6 + random_() % 3));
      case 6: return set(concat("decoder.loss.noise_tau=0.", 1 + random_() % 9));  // is refused
      case 7: return rename_class();
      case 8: return train_again("dit", concat("model.dit.depth=[1, ", 1 + random_() % 2, "]"));
      case 9: return set(concat("data.flip=", random_() % 2 == 0 ? "true" : "false"));
      case 10: return set(concat("data.held_out=", random_() % 2 == 0 ? "0" : "0.3"));
      case 11: return toggle_initial_model();
      case 12: return set(concat("dit.train.ema_decay=", decays()));
      case 13: return train_again("dit", concat("dit.quantize=", narrow_type()));
      default: return toggle_picture();
    }
  }

  /// Does what a refusal advises: takes the last change back, or removes the stages.
  void give_way(bool finally) {
    if (!finally && random_() % 4 == 0) {
      log("accept changes of the data");
      accepts_ = true;
      return;
    }
    if (!finally && random_() % 4 != 0) {
      log("take back");
      recipe_ = before_;
      if (undo_) undo_();
      undo_ = {};
      return;
    }
    log("remove the stages");
    initial_.clear();  // its networks may be of other sizes
    for (const char* stage : {"encoder", "decoder", "dit"})
      fs::remove_all(fs::path(folder()) / stage);
  }

  /// Runs in a child process, which is killed after `microseconds` unless it has ended; 0: never.
  /// Returns its exit status, or nothing when it was killed.
  std::optional<int> run(const std::string& out, std::int64_t microseconds) const {
    return in_child([&] { return train(out); }, microseconds);
  }
  /// Looks at what the next run would do; returns its exit status.
  [[nodiscard]] std::optional<int> look() const {
    return in_child([&] {
      try {
        const Recipe recipe = parse_recipe(recipe_);
        const RecipeRun run = run_in(folder());
        const auto outlook = outlook_of_stages(recipe, run, check_recipe(recipe, run));
        return outlook.size() == 4 ? 0 : 1;
      } catch (const ConfigError&) {
        return kRefused;
      }
    });
  }
  /// The note of the bundle about changes of the data; empty when there is none.
  [[nodiscard]] bool notes_changes() const {
    return in_child([&] {
             const auto notes = Bundle::load(folder() + "/model.safetensors").notes;
             return notes.count("data_changes") == 1 ? 0 : 1;
           }) == 0;
  }
  /// True when the bundle of the run, if there is one, can be loaded.
  [[nodiscard]] bool is_usable() const {
    return in_child([&] {
             const std::string model = folder() + "/model.safetensors";
             if (fs::exists(model)) (void)Bundle::load(model);
             return 0;
           }) == 0;
  }

  /// A random moment within a run that takes this long.
  std::int64_t moment(std::int64_t microseconds) {
    return 1 + static_cast<std::int64_t>(random_() % static_cast<unsigned long>(microseconds));
  }

  void log(const std::string& what) { history_ += what + "\n"; }

 private:
  [[nodiscard]] RecipeRun run_in(const std::string& out) const {
    RecipeRun run;
    run.data = data_.path();
    run.out = out;
    run.samples = 3;
    run.init = initial_;
    run.accept_data_change = accepts_;
    return run;
  }
  int train(const std::string& out) const {
    try {
      run_recipe(parse_recipe(recipe_), run_in(out));
      return 0;
    } catch (const ConfigError&) {
      return kRefused;
    }
  }

  /// Another order needs no step; another decay is refused.
  const char* decays() {
    constexpr std::array kDecays{"0.9", "[0.9, 0.5]", "[0.5, 0.9]"};
    return kDecays[random_() % kDecays.size()];
  }
  const char* narrow_type() { return random_() % 2 == 0 ? "int4" : "int8w"; }
  double rate() { return 1e-3 * static_cast<double>(1 + random_() % 5); }

  void set(const std::string& assignment) {
    log(assignment);
    recipe_.apply_override(assignment);
  }
  void train_again(const std::string& stage, const std::string& assignment) {
    log("rm -r " + stage);
    fs::remove_all(fs::path(folder()) / stage);
    set(assignment);
  }
  void rename_class() {
    const bool renamed = fs::exists(data_ / "Aaa_small");
    const std::string from = data_ / (renamed ? "Aaa_small" : "small"),
                      to = data_ / (renamed ? "small" : "Aaa_small");
    log("rename a class");
    fs::rename(from, to);
    undo_ = [from, to] { fs::rename(to, from); };
  }
  void toggle_initial_model() {
    log("another initial model");
    const std::string was = initial_;
    initial_ = was.empty() ? other_model_ : "";
    undo_ = [this, was] { initial_ = was; };
  }
  void toggle_picture() {
    const std::string path = data_ / "large/7.png";
    const auto toggle = [path] {
      if (!fs::remove(path)) write_picture(path, 70);
    };
    log("add or remove a picture");
    toggle();
    undo_ = toggle;
  }

  std::mt19937 random_;
  TempFolder data_, out_;
  ConfigNode recipe_ = ConfigNode::parse_yaml(kTinyRecipe, "tiny.yaml"), before_ = recipe_;
  std::function<void()> undo_;
  std::string history_, other_model_, initial_;  // initial_: of --init
  bool accepts_ = false;
};

/// The files below a folder with their contents.
std::map<std::string, std::string> contents(const std::string& folder) {
  std::map<std::string, std::string> out;
  if (fs::exists(folder))
    for (const auto& entry : fs::recursive_directory_iterator(folder))
      out[entry.path().string()] = entry.is_regular_file() ? slurp(entry.path().string()) : "";
  return out;
}

TEST(KilledRuns, EndAsUnbrokenOnesOrAreRefused) {
  const unsigned rounds = number("RAE_KILL_ROUNDS", 8), first = number("RAE_KILL_SEED", 1);
  unsigned killed = 0, refused = 0;
  for (unsigned round = 0; round < rounds; ++round) {
    KilledRun job(first + round);
    const TempFolder whole;
    const auto start = std::chrono::steady_clock::now();
    ASSERT_EQ(job.run(whole / "first", 0), 0);
    job.set_initial_model(whole / "first/model.safetensors");
    const std::int64_t length = std::chrono::duration_cast<std::chrono::microseconds>(
                                    std::chrono::steady_clock::now() - start)
                                    .count();
    for (int part = 0; part < 6; ++part) {
      const auto status = job.run(job.folder(), job.moment(length));
      killed += !status;
      refused += status == kRefused;
      if (status == kRefused) job.give_way(false);
      job.log(!status ? "killed" : concat("ended with ", *status));
      ASSERT_TRUE(!status || status == 0 || status == kRefused) << *status << job.history();
      // The bundle can be used at every moment.
      ASSERT_TRUE(job.is_usable()) << job.history();
      if (status != kRefused && job.moment(2) == 1) job.change();
      const auto before = contents(job.folder());
      const auto looked = job.look();
      ASSERT_TRUE(looked == 0 || looked == kRefused) << *looked << job.history();
      ASSERT_TRUE(contents(job.folder()) == before) << job.history();
    }
    auto status = job.run(job.folder(), 0);
    if (status == kRefused) {
      ++refused;
      job.give_way(true);
      status = job.run(job.folder(), 0);
    }
    ASSERT_EQ(status, 0) << job.history();
    ASSERT_EQ(job.run(whole / "last", 0), 0) << job.history();
    const bool equal =
        slurp(job.folder() + "/model.safetensors") == slurp(whole / "last/model.safetensors");
    ASSERT_TRUE(equal || (job.accepted() && job.notes_changes()))
        << "seed " << first + round << "\n"
        << job.history();
    for (const auto& entry : fs::recursive_directory_iterator(job.folder()))
      EXPECT_EQ(entry.path().string().find(".tmp-"), std::string::npos) << entry.path();
  }
  EXPECT_GT(killed, rounds);
  RecordProperty("killed", static_cast<int>(killed));
  RecordProperty("refused", static_cast<int>(refused));
  std::printf("%u rounds: %u killed, %u refused\n", rounds, killed, refused);
}

}  // namespace
}  // namespace rae::test
