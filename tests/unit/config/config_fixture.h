// A configuration in a folder of its own, for tests: files are written, loaded, and the problems looked at.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "daemon/config/config.h"

namespace credsync::config {

// A copy of the shipped catalogue that belongs to whoever runs the tests: the reader refuses files of others,
// and a checkout may be somebody else's.
inline void copy_catalogue(const std::string& folder) {
  std::filesystem::create_directories(folder);
  for (const auto& file : std::filesystem::directory_iterator(CREDSYNC_SOURCE_DIR "/config/providers")) {
    const std::filesystem::path copy = std::filesystem::path(folder) / file.path().filename();
    std::filesystem::copy_file(file, copy, std::filesystem::copy_options::overwrite_existing);
    std::filesystem::permissions(copy, std::filesystem::perms(0644));
  }
}

class ConfigTest : public ::testing::Test {
 protected:
  ConfigTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "credsync-config-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    paths_ = {root_ + "/providers", root_ + "/etc", root_ + "/state", "/run/credsyncd-api"};
    std::filesystem::create_directories(paths_.providers);
    for (const char* folder : {"conf.d", "accounts.d", "providers.d"}) {
      std::filesystem::create_directories(paths_.config + "/" + folder);
    }
    write("providers/acme.toml", R"([provider.acme]
title = "Acme"
grants = ["authorization_code", "client_credentials", "password"]
endpoints.authorize = "https://acme.example/authorize"
endpoints.token = "https://acme.example/token"
client.auth = ["post"]
)");
    secret("etc/accounts.d/acme.secret", "s3cr3t\n");
  }
  ~ConfigTest() override { std::filesystem::remove_all(root_); }

  std::string path(const std::string& name) const { return root_ + "/" + name; }

  void write(const std::string& name, const std::string& text, mode_t mode = 0644) {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    std::ofstream(path(name)) << text;
    ASSERT_EQ(0, ::chmod(path(name).c_str(), mode));
  }
  void secret(const std::string& name, const std::string& text) { write(name, text, 0600); }
  void account(const std::string& body) { write("etc/accounts.d/a.toml", body); }

  Loaded load() const { return config::load(paths_); }

  // Each problem as people see it, the folder of the test taken out.
  std::vector<std::string> problems() const { return shown(load()); }
  std::vector<std::string> shown(const Loaded& loaded) const {
    std::vector<std::string> out;
    for (const Problem& problem : loaded.problems) {
      std::string text = to_string(problem);
      for (std::size_t at = text.find(root_); at != std::string::npos; at = text.find(root_)) {
        text.erase(at, root_.size() + 1);
      }
      out.push_back(std::move(text));
    }
    return out;
  }

  std::string root_;
  Paths paths_;
};

}  // namespace credsync::config
