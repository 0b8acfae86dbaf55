// The unit of a process, by the text of /proc/PID/cgroup.
#include "ipc/cgroup.h"

#include <gtest/gtest.h>

#include <string>

#include "base/text.h"

namespace credsync::ipc {
namespace {

std::string unit(std::string_view text) {
  const auto found = system_unit_of(text);
  EXPECT_TRUE(found || !found.error().message().empty());
  return found.value_or("");
}

TEST(Cgroup, SystemUnitsAreTheFirstComponentBelowTheSlices) {
  const std::pair<std::string_view, std::string_view> kTable[] = {
      {"/system.slice/foo.service", "foo.service"},
      {"/foo.service", "foo.service"},
      {"/system.slice/foo@bar.service", "foo@bar.service"},
      {"/system.slice/system-foo.slice/foo@a\\x2db.service", "foo@a\\x2db.service"},
      {"/system.slice/foo.service/payload", "foo.service"},
      {"/system.slice/foo.service/system.slice/root.service", "foo.service"},
      {"/machine.slice/systemd-nspawn@x.service/payload/system.slice/foo.service", "systemd-nspawn@x.service"},
      {"/system.slice/docker-0123abcd.scope", "docker-0123abcd.scope"},
      {"/user.slice/user-1000.slice/session-2.scope", "session-2.scope"},
      {"/system.slice/_cgroup.service", "cgroup.service"},
      {"/system.slice/__foo.service", "_foo.service"},
      {"/system.slice/memory.high.service", "memory.high.service"},
  };
  for (const auto& [path, expected] : kTable) {
    EXPECT_EQ(unit("0::" + std::string(path) + "\n"), expected) << path;
    EXPECT_EQ(unit("12:cpu,cpuacct:/elsewhere\n1:name=systemd:" + std::string(path)), expected) << path;
  }
}

TEST(Cgroup, WhatAUserNamesIsNoSystemUnit) {
  for (const std::string_view path : {
           "/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service",
           "/user.slice/user-1000.slice/user@1000.service",
           "/user.slice/user-1000.slice/user@1000.service/system.slice/foo.service",
           "/user@1000.service/foo.service",
           "/system.slice/_user@1000.service/foo.service",
       }) {
    EXPECT_EQ(unit("0::" + std::string(path)), "") << path;
  }
}

TEST(Cgroup, WhatIsNotClearlyAUnitIsNone) {
  for (const std::string_view path : {
           "/",
           "",
           "foo.service",
           "/..",
           "/../../system.slice/foo.service",
           "/system.slice",
           "/system.slice/",
           "/system.slice//foo.service",
           "/docker/0123abcd/system.slice/foo.service",
           "/kubepods/pod1/foo.service",
           "/system.slice/foo.service (deleted)",
           "/system.slice/foo.timer",
           "/system.slice/foo@.service",
           "/system.slice/@foo.service",
           "/system.slice/.service",
           "/system.slice/fo o.service",
           "/system.slice/\xc3\xa4.service",
           "/slice/foo.service",
           "/.slice/foo.service",
       }) {
    EXPECT_EQ(unit("0::" + std::string(path)), "") << path;
  }
  for (const std::string_view text :
       {"", "\n", "::", "0:", "0::", "0:cpu:/system.slice/foo.service", "1::/system.slice/foo.service",
        "3:name=other:/system.slice/foo.service", "1:name=systemd/foo.service", "0::/a\n0::/"}) {
    EXPECT_EQ(unit(text), "") << text;
  }
}

TEST(Cgroup, TwoHierarchiesMustAgreeOrOneSayNothing) {
  EXPECT_EQ(unit("1:name=systemd:/\n0::/system.slice/foo.service\n"), "foo.service");
  EXPECT_EQ(unit("1:name=systemd:/system.slice/foo.service\n0::/\n"), "foo.service");
  EXPECT_EQ(unit("1:name=systemd:/system.slice/foo.service\n0::/system.slice/foo.service\n"), "foo.service");
  EXPECT_EQ(unit("1:name=systemd:/system.slice/bar.service\n0::/system.slice/foo.service\n"), "");
}

TEST(Cgroup, ATextTooLongIsNotLookedAt) {
  const std::string line = "0::/system.slice/foo.service\n";
  EXPECT_EQ(unit(line + std::string(kLongestCgroupText - line.size(), 'x')), "foo.service");
  EXPECT_EQ(unit(line + std::string(kLongestCgroupText, 'x')), "");
}

TEST(UnitName, IsBounded) {
  EXPECT_TRUE(is_unit_name(std::string(247, 'a') + ".service"));
  EXPECT_FALSE(is_unit_name(std::string(248, 'a') + ".service"));
  EXPECT_FALSE(is_unit_name(std::string_view("a\0b.service", 11)));
  EXPECT_FALSE(is_unit_name("service"));
}

}  // namespace
}  // namespace credsync::ipc
