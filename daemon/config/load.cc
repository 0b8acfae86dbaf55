#include <algorithm>
#include <filesystem>

#include "base/text.h"
#include "daemon/config/account_reader.h"
#include "daemon/config/config.h"
#include "daemon/config/profile_reader.h"
#include "daemon/config/read_files.h"
#include "daemon/config/settings_reader.h"

namespace credsync::config {
namespace {

using Words = std::vector<std::string_view>;

// What may stand at the top of a file, by where the file is.
const Words kInProfiles = {"provider"};
const Words kInSettings = {"listen", "store", "refresh", "callers", "defaults", "provider", "account"};
const Words kInAccounts = {"account"};

class Loader {
 public:
  explicit Loader(const Paths& paths) : paths_(paths), files_(names_, problems_) {
    // What files name relative to themselves must stay right when the daemon changes its folder.
    for (std::string* path : {&paths_.providers, &paths_.config, &paths_.state, &paths_.runtime}) {
      std::error_code ignored;
      if (!path->empty() && path->front() != '/') *path = std::filesystem::absolute(*path, ignored).lexically_normal();
    }
  }

  Loaded run() {
    check_folder();
    read_profile_files();
    read_settings_files();
    build();
    if (!paths_.config.empty()) {
      files_.folder(paths_.config + "/accounts.d", false, [this](Node tree) {
        check_top(tree, kInAccounts);
        if (const auto accounts = tree.fields.find("account"); accounts != tree.fields.end())
          add_accounts(accounts->second);
      });
    }
    return {std::move(config_), problems_.take()};
  }

 private:
  // That it exists; what is in it is read in its order later.
  void check_folder() {
    if (paths_.config_must_exist) files_.folder(paths_.config, true, [](Node) {});
  }

  void read_profile_files() {
    const auto use = [this](Node tree) {
      check_top(tree, kInProfiles);
      take_profiles(tree);
    };
    files_.folder(paths_.providers, false, use);
    if (!paths_.config.empty()) files_.folder(paths_.config + "/providers.d", false, use);
  }

  void read_settings_files() {
    if (paths_.config.empty()) return;
    const auto use = [this](Node tree) { take_settings(std::move(tree)); };
    files_.file(paths_.config + "/credsyncd.toml", use);
    files_.folder(paths_.config + "/conf.d", false, use);
  }

  void check_top(Node& tree, const Words& allowed) {
    std::erase_if(tree.fields, [&](const auto& field) {
      const auto& [key, node] = field;
      if (std::find(allowed.begin(), allowed.end(), key) != allowed.end()) return false;
      const bool elsewhere = std::find(kInSettings.begin(), kInSettings.end(), key) != kInSettings.end();
      const std::string words =
          elsewhere ? "does not belong in this folder; it may hold only [" + std::string(allowed.front()) + ".NAME]"
                    : "unknown key" + suggestion(key, allowed);
      problems_.add(node.spot, clean_foreign_text(toml_key(key)), words);
      return true;
    });
  }

  void take_profiles(Node& tree) {
    const auto found = tree.fields.find("provider");
    if (found == tree.fields.end()) return;
    if (!found->second.is_table()) {
      problems_.add(found->second.spot, "provider", "must be tables: [provider.NAME]");
      return;
    }
    normalise_profiles(found->second);
    merge(providers_, std::move(found->second));
  }

  void take_settings(Node tree) {
    check_top(tree, kInSettings);
    take_profiles(tree);
    tree.fields.erase("provider");
    if (const auto accounts = tree.fields.find("account"); accounts != tree.fields.end()) {
      early_accounts_.push_back(std::move(accounts->second));
      tree.fields.erase(accounts);
    }
    // A secret source is one value: a later { credential } replaces an earlier { file }, it does not join it.
    const auto store = tree.fields.find("store");
    if (store != tree.fields.end() && store->second.fields.contains("key"))
      settings_.fields["store"].fields.erase("key");
    merge(settings_, std::move(tree));
  }

  void build() {
    profiles_ = read_profiles(providers_, problems_);
    config_.profiles = profiles_.good;
    read_settings(settings_, paths_, config_, problems_);
    if (!paths_.user_instance) config_.admin_group = find_group(kAdminGroup);
    reader_ = std::make_unique<AccountReader>(profiles_, problems_);
    if (const auto defaults = settings_.fields.find("defaults"); defaults != settings_.fields.end()) {
      reader_->read_defaults(defaults->second);
      config_.default_allow = reader_->default_rules();
    }
    for (const Node& accounts : early_accounts_)
      add_accounts(accounts);
  }

  void add_accounts(const Node& accounts) {
    if (!accounts.is_table()) return problems_.add(accounts.spot, "account", "must be tables: [account.NAME]");
    for (const auto& [name, node] : accounts.fields) {
      const auto [first, added] = seen_.emplace(name, node.spot);
      if (!added) {
        const Place place = first->second.place();
        problems_.add(node.spot, "account." + toml_key(name),
                      "is defined twice; the first is at " + place.file + ":" + std::to_string(place.line) + ":" +
                          std::to_string(place.column));
        continue;
      }
      if (auto account = reader_->read(name, node)) config_.accounts.emplace(name, std::move(account));
    }
  }

  Paths paths_;
  FileNames names_;
  Problems problems_;
  FileReader files_;
  Node providers_, settings_;
  std::vector<Node> early_accounts_;
  ReadProfiles profiles_;
  std::unique_ptr<AccountReader> reader_;
  std::map<std::string, Spot> seen_;
  Config config_;
};

}  // namespace

std::string to_string(const Problem& problem) {
  std::string out = problem.place.file;
  if (problem.place.line > 0) {
    out += ":" + std::to_string(problem.place.line) + ":" + std::to_string(problem.place.column);
  }
  if (!out.empty()) out += ": ";
  if (!problem.fatal) out += "warning: ";
  if (!problem.key.empty()) out += problem.key + ": ";
  return out + problem.words;
}

bool Loaded::usable() const {
  return std::none_of(problems.begin(), problems.end(), [](const Problem& problem) { return problem.fatal; });
}

Loaded load(const Paths& paths) {
  return Loader(paths).run();
}

}  // namespace credsync::config
