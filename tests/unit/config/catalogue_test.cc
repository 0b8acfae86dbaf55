// The shipped catalogue: it loads without a problem, and the four mission providers say what their documents
// say.
#include <algorithm>

#include "tests/unit/config/config_fixture.h"

namespace credsync::config {
namespace {

using namespace provider;

const Loaded& catalogue() {
  static const Loaded kLoaded = [] {
    std::string folder = (std::filesystem::temp_directory_path() / "credsync-catalogue-XXXXXX").string();
    Paths paths;
    paths.providers = ::mkdtemp(folder.data());
    copy_catalogue(paths.providers);
    Loaded loaded = load(paths);
    std::filesystem::remove_all(paths.providers);
    return loaded;
  }();
  return kLoaded;
}

const Profile& profile(std::string_view id) {
  return *catalogue().config.profiles.at(std::string(id));
}

TEST(Catalogue, LoadsWithoutAProblem) {
  for (const Problem& problem : catalogue().problems)
    ADD_FAILURE() << to_string(problem);
}

TEST(Catalogue, Flat) {
  const Profile& flat = profile("flat");
  EXPECT_EQ(flat.grants,
            (std::vector{Grant::kAuthorizationCode, Grant::kImplicit, Grant::kRefreshToken, Grant::kStatic}));
  EXPECT_EQ(flat.endpoints.authorize.url, "https://flat.io/auth/oauth");
  EXPECT_EQ(flat.endpoints.token.url, "https://api.flat.io/oauth/access_token");
  EXPECT_EQ(flat.endpoints.revoke.url, "https://api.flat.io/oauth/invalidate_token");
  EXPECT_EQ(flat.client.auth, std::vector{ClientAuth::kPost});
  EXPECT_EQ(flat.parameters.at(RequestKind::kAuthorize).set.at("access_type"), "offline");
  EXPECT_EQ(flat.endpoints.token.encoding, Encoding::kForm);
  EXPECT_EQ(flat.revoke.how, RevokeHow::kRfc7009);
  EXPECT_EQ(flat.revoke.access_cascade, Cascade::kUnknown);
  EXPECT_EQ(flat.revoke.refresh_cascade, Cascade::kUnknown);
  EXPECT_EQ(flat.limits.remaining, "X-RateLimit-Remaining");
  EXPECT_EQ(flat.limits.reset, "X-RateLimit-Reset");
  EXPECT_EQ(flat.limits.reset_means, ResetMeans::kEpochSeconds);
  EXPECT_FALSE(flat.refresh.access_overlap.has_value());
}

TEST(Catalogue, Flume) {
  const Profile& flume = profile("flume");
  EXPECT_EQ(flume.grants, (std::vector{Grant::kPassword, Grant::kRefreshToken}));
  EXPECT_EQ(flume.endpoints.authorize.url, "");
  EXPECT_EQ(flume.endpoints.token.url, "https://api.flumewater.com/oauth/token");
  EXPECT_EQ(flume.endpoints.token.encoding, Encoding::kJson);
  EXPECT_EQ(flume.client.auth, std::vector{ClientAuth::kPost});
  EXPECT_EQ(flume.answer.root, "data.0");
  ASSERT_TRUE(flume.answer.success.has_value());
  EXPECT_EQ(flume.answer.success->path, "success");
  EXPECT_EQ(flume.answer.success->equals, "true");
  EXPECT_TRUE(flume.answer.jwt_expiry);
  EXPECT_FALSE(flume.refresh.access_overlap.has_value()) << "old tokens stay valid until they expire";
  EXPECT_EQ(flume.revoke.how, RevokeHow::kNone);
  EXPECT_EQ(flume.errors.text, (Strings{"detailed.0", "message"}));
}

TEST(Catalogue, FfLogs) {
  const Profile& fflogs = profile("fflogs");
  EXPECT_EQ(fflogs.grants, (std::vector{Grant::kClientCredentials, Grant::kAuthorizationCode, Grant::kRefreshToken}));
  EXPECT_EQ(fflogs.endpoints.authorize.url, "https://{host}/oauth/authorize");
  EXPECT_EQ(fflogs.endpoints.token.url, "https://{host}/oauth/token");
  EXPECT_EQ(fflogs.vars.at("host").fallback, "www.fflogs.com");
  EXPECT_EQ(fflogs.endpoints.token.encoding, Encoding::kForm);
  EXPECT_EQ(fflogs.client.auth, (std::vector{ClientAuth::kBasic, ClientAuth::kNone}));
  EXPECT_EQ(fflogs.authorize.pkce, Pkce::kS256);
  EXPECT_EQ(fflogs.refresh.rotation, Rotation::kAlways);
  EXPECT_EQ(fflogs.refresh.overlap, Duration::zero());
  EXPECT_EQ(fflogs.refresh.access_overlap, Duration::zero());
  EXPECT_EQ(fflogs.revoke.how, RevokeHow::kNone);
  ASSERT_EQ(fflogs.errors.match.size(), 2u);
  const ErrorMatch& older = fflogs.errors.match[0];
  EXPECT_EQ(older.status, 401);
  EXPECT_EQ(older.code, "invalid_request");
  EXPECT_EQ(older.request, RequestKind::kRefresh);
  EXPECT_EQ(older.error_class, ErrorClass::kNeedsLogin);
  const ErrorMatch& newer = fflogs.errors.match[1];
  EXPECT_EQ(newer.status, 400);
  EXPECT_EQ(newer.code, "invalid_grant");
  EXPECT_EQ(newer.error_class, ErrorClass::kNeedsLogin);
}

TEST(Catalogue, Example) {
  const Profile& example = profile("example");
  EXPECT_EQ(example.grants, std::vector{Grant::kAuthorizationCode});
  EXPECT_EQ(example.endpoints.authorize.url, "https://{host}/api/authorize.php");
  EXPECT_EQ(example.endpoints.token.url, "https://{host}/api/token.php");
  EXPECT_EQ(example.endpoints.userinfo.url, "https://{host}/api/userinfo.php");
  EXPECT_EQ(example.client.auth, std::vector{ClientAuth::kPost});
  EXPECT_EQ(example.parameters.at(RequestKind::kCode).omit, (Strings{"grant_type", "redirect_uri"}));
  EXPECT_EQ(example.refresh.how, RefreshHow::kNever);
  EXPECT_EQ(example.revoke.how, RevokeHow::kNone);
  EXPECT_EQ(example.authorize.pkce, Pkce::kOff);
  const auto starts_over = [](const ErrorMatch& match) {
    return match.code == "invalid_code" && match.error_class == ErrorClass::kStartOver;
  };
  EXPECT_TRUE(std::any_of(example.errors.match.begin(), example.errors.match.end(), starts_over));
}

TEST(Catalogue, EveryFactOfAMissionProviderNamesItsPlace) {
  for (const char* id : {"flat", "flume", "fflogs", "example"}) {
    for (const Fact& fact : profile(id).facts) {
      EXPECT_TRUE(fact.file.ends_with(std::string(id) + ".toml")) << fact.key;
      EXPECT_GT(fact.line, 0u) << fact.key;
    }
  }
}

}  // namespace
}  // namespace credsync::config
