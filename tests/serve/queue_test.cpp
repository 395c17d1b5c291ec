#include "serve/queue.hpp"

#include <gtest/gtest.h>

#include <future>

#include "rae/core/cancellation.hpp"

namespace rae::test {
namespace {

using serve::Answer;
using serve::Job;
using serve::JobState;
using serve::Queue;
using namespace std::chrono_literals;

std::shared_ptr<Job> job_of(Job::Work work, std::chrono::steady_clock::duration limit = 1min) {
  return std::make_shared<Job>(std::move(work), limit);
}

/// Waits for the end of a job.
JobState end_of(Job& job) {
  while (true) {
    const JobState state = job.wait(100ms).state;
    if (state == JobState::done || state == JobState::failed) return state;
  }
}

/// A job that runs until the promise is kept or it should stop.
std::shared_ptr<Job> blocking(const std::shared_future<void>& end,
                              std::chrono::steady_clock::duration limit = 1min) {
  return job_of(
      [end](Job& job) {
        while (end.wait_for(1ms) != std::future_status::ready)
          if (job.should_stop()) raise<Cancelled>("stopped");
        return Answer{"text/plain", "end"};
      },
      limit);
}

TEST(Queue, ComputesJobsInTheirOrder) {
  Queue queue(8);
  std::string order;
  std::vector<std::shared_ptr<Job>> jobs;
  for (const char* name : {"a", "b", "c"}) {
    jobs.push_back(job_of([&order, name](Job&) {
      order += name;
      return Answer{"text/plain", name};
    }));
    queue.submit(jobs.back());
  }
  for (const auto& job : jobs) EXPECT_EQ(end_of(*job), JobState::done);
  EXPECT_EQ(order, "abc");
  EXPECT_EQ(jobs[1]->take_answer().body, "b");
  queue.stop();
  EXPECT_EQ(queue.statistics().done, 3u);
}

TEST(Queue, RefusesMoreThanItsLimitAndTellsPositions) {
  Queue queue(2);
  std::promise<void> promise;
  const auto end = promise.get_future().share();
  const auto running = blocking(end);
  queue.submit(running);
  while (running->wait(100ms).state != JobState::running) {
  }
  const auto first = blocking(end), second = blocking(end), third = blocking(end);
  queue.submit(first);
  queue.submit(second);
  EXPECT_EQ(first->wait(1s).position, 1u);
  EXPECT_EQ(second->wait(1s).position, 2u);
  EXPECT_THROW(queue.submit(third), serve::QueueFull);
  EXPECT_EQ(queue.statistics().refused, 1u);
  EXPECT_GE(queue.retry_after(), 1);
  EXPECT_LE(queue.retry_after(), 600);
  // A client that went away makes room.
  first->cancel();
  EXPECT_NO_THROW(queue.submit(third));
  EXPECT_EQ(first->wait(1s).state, JobState::failed);
  promise.set_value();
  EXPECT_EQ(end_of(*second), JobState::done);
  EXPECT_EQ(end_of(*third), JobState::done);
  EXPECT_EQ(queue.statistics().cancelled, 1u);
}

TEST(Queue, StopsARunningJobOnlyWhenItIsCancelled) {
  Queue queue(2);
  std::promise<void> never;
  const auto job = blocking(never.get_future().share());
  queue.submit(job);
  while (job->wait(100ms).state != JobState::running) {
  }
  job->cancel();
  EXPECT_EQ(end_of(*job), JobState::failed);
  EXPECT_THROW((void)job->take_answer(), Cancelled);
}

TEST(Queue, StopsAJobAtItsLimit) {
  Queue queue(2);
  std::promise<void> never;
  const auto job = blocking(never.get_future().share(), 20ms);
  queue.submit(job);
  EXPECT_EQ(end_of(*job), JobState::failed);
  EXPECT_THROW((void)job->take_answer(), serve::TooSlow);
  // Loops that know no job end, too.
  const auto loop = job_of(
      [](Job&) {
        while (true) stop_if_cancelled();
        return Answer{};
      },
      20ms);
  queue.submit(loop);
  EXPECT_EQ(end_of(*loop), JobState::failed);
  EXPECT_THROW((void)loop->take_answer(), serve::TooSlow);
}

TEST(Queue, GivesTheErrorOfAJobToItsClient) {
  Queue queue(2);
  const auto bad = job_of([](Job&) -> Answer { raise<FormatError>("bad"); });
  queue.submit(bad);
  EXPECT_EQ(end_of(*bad), JobState::failed);
  EXPECT_THROW((void)bad->take_answer(), FormatError);
  const auto good = job_of([](Job&) { return Answer{"a/b", "good"}; });
  queue.submit(good);
  EXPECT_EQ(end_of(*good), JobState::done);
  EXPECT_EQ(queue.statistics().failed, 1u);
}

TEST(Queue, KeepsTheLastReportAndItsPreviews) {
  Job job([](Job&) { return Answer{}; }, 1s);
  job.report({1, 9, 0.5, {"first"}});
  job.report({2, 9, 0.6, {}});
  const auto news = job.wait(1s);
  ASSERT_TRUE(news.progress);
  EXPECT_EQ(news.progress->step, 2);
  EXPECT_EQ(news.progress->previews, std::vector<std::string>{"first"});
  EXPECT_FALSE(job.wait(1ms).progress);
}

TEST(Queue, StopsWithAllItsJobs) {
  std::promise<void> never;
  const auto end = never.get_future().share();
  const auto running = blocking(end), waiting = blocking(end);
  Queue queue(2);
  queue.submit(running);
  queue.submit(waiting);
  queue.stop();
  EXPECT_EQ(end_of(*running), JobState::failed);
  EXPECT_EQ(end_of(*waiting), JobState::failed);
  EXPECT_THROW(queue.submit(waiting), serve::QueueFull);
}

}  // namespace
}  // namespace rae::test
