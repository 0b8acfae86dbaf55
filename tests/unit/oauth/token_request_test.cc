#include "base/encoding.h"
#include "daemon/oauth/json_value.h"
#include "tests/unit/oauth/oauth_testing.h"

namespace credsync::oauth {
namespace {

using namespace credsync::oauth::testing;
using provider::ClientAuth;
using provider::Encoding;
using provider::RequestKind;
using Fields = std::map<std::string, std::string>;

CodeInput code() {
  return {Secret("SplxlOBeZQQYbYS6WxSbIA"), "https://client.example.com/cb", {}};
}

std::string error_for(const provider::Profile& profile, const GrantInput& input, const Vars& vars = {},
                      const ClientCredentials& client = plain_client()) {
  fakes::FakeRandom random;
  auto request = build_token_request(profile, vars, client, input, {}, kSent, random);
  return request ? "(built)" : request.error().message();
}

// RFC 6749, 4.1.3.
TEST(TokenRequest, CodeExchangeIsTheExampleOfRfc6749) {
  provider::Profile profile = plain_profile();
  profile.client.auth = {ClientAuth::kBasic};
  const HttpRequest request = request_for(profile, code());
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.url, "https://as.example/token");
  EXPECT_EQ(header_of(request, "Authorization"), "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW");
  EXPECT_EQ(header_of(request, "Content-Type"), "application/x-www-form-urlencoded");
  EXPECT_EQ(header_of(request, "Accept"), "application/json");
  EXPECT_TRUE(header_of(request, "User-Agent").starts_with("credsyncd/"));
  EXPECT_EQ(request.body.text(),
            "grant_type=authorization_code&code=SplxlOBeZQQYbYS6WxSbIA"
            "&redirect_uri=https%3A%2F%2Fclient.example.com%2Fcb");
}

TEST(TokenRequest, EveryGrantHasTheParametersOfItsRfc) {
  struct Case {
    const char* name;
    GrantInput input;
    Fields expected;  // without the client
  };
  const Case cases[] = {
      {"RFC 6749 4.4.2", ClientCredentialsInput{}, {{"grant_type", "client_credentials"}, {"scope", "one two"}}},
      {"RFC 6749 4.3.2",
       PasswordInput{"johndoe", Secret("A3ddj3w")},
       {{"grant_type", "password"}, {"username", "johndoe"}, {"password", "A3ddj3w"}, {"scope", "one two"}}},
      {"RFC 6749 6",
       RefreshInput{Secret("tGzv3JOkF0XG5Qx2TlKWIA")},
       {{"grant_type", "refresh_token"}, {"refresh_token", "tGzv3JOkF0XG5Qx2TlKWIA"}}},
      {"by the access token",
       AccessRefreshInput{Secret("2YotnFZFEjr1zCsicMWpAA")},
       {{"grant_type", "refresh_token"}, {"access_token", "2YotnFZFEjr1zCsicMWpAA"}}},
      {"RFC 7636 4.5",
       CodeInput{Secret("Splx"), "http://127.0.0.1:5/cb", Secret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")},
       {{"grant_type", "authorization_code"},
        {"code", "Splx"},
        {"redirect_uri", "http://127.0.0.1:5/cb"},
        {"code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"}}},
      {"RFC 8628 3.1", DeviceStartInput{}, {{"scope", "one two"}}},
      {"RFC 8628 3.4",
       DevicePollInput{Secret("GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS")},
       {{"grant_type", "urn:ietf:params:oauth:grant-type:device_code"},
        {"device_code", "GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS"}}},
  };
  for (const Case& c : cases) {
    Fields expected = c.expected;
    expected["client_id"] = "s6BhdRkqt3";
    expected["client_secret"] = "gX1fBat3bV";
    EXPECT_EQ(form_of(request_for(plain_profile(), c.input, {}, {"one", "two"}).body.text()), expected) << c.name;
  }
}

TEST(TokenRequest, ScopeGoesWithARefreshOnlyWhereTheProfileSaysSo) {
  provider::Profile profile = plain_profile();
  profile.refresh.send_scope = true;
  profile.authorize.scope_separator = ",";
  const auto form = form_of(request_for(profile, RefreshInput{Secret("r")}, {}, {"one", "two"}).body.text());
  EXPECT_EQ(form.at("scope"), "one,two");
}

TEST(TokenRequest, GoesToTheEndpointOfItsKind) {
  provider::Profile profile = plain_profile();
  EXPECT_EQ(request_for(profile, RefreshInput{Secret("r")}).url, "https://as.example/token");
  profile.endpoints.refresh.url = "https://as.example/refresh";
  EXPECT_EQ(request_for(profile, RefreshInput{Secret("r")}).url, "https://as.example/refresh");
  EXPECT_EQ(request_for(profile, AccessRefreshInput{Secret("a")}).url, "https://as.example/refresh");
  EXPECT_EQ(request_for(profile, code()).url, "https://as.example/token");
  EXPECT_EQ(request_for(profile, DeviceStartInput{}).url, "https://as.example/device");
  EXPECT_EQ(request_for(profile, DevicePollInput{Secret("d")}).url, "https://as.example/token");
  profile.endpoints.device.url.clear();
  EXPECT_NE(error_for(profile, DeviceStartInput{}), "(built)");
}

TEST(ClientAuthentication, BasicIsFormEncodedFirstOrRaw) {
  ClientCredentials client;
  client.client_id = "id with:colon";
  client.secret = Secret("p@ss/word+ä");
  provider::Profile profile = plain_profile();
  profile.client.auth = {ClientAuth::kBasic};
  EXPECT_EQ(header_of(request_for(profile, client, code()), "Authorization"),
            "Basic " + encode_base64("id+with%3Acolon:p%40ss%2Fword%2B%C3%A4"));
  profile.client.basic_encoding = provider::BasicEncoding::kRaw;
  EXPECT_NE(error_for(profile, code(), {}, client).find("colon"), std::string::npos);
  client.client_id = "id";
  EXPECT_EQ(header_of(request_for(profile, client, code()), "Authorization"),
            "Basic " + encode_base64("id:p@ss/word+ä"));
}

TEST(ClientAuthentication, PublicClientsAndCertificatesNameThemselvesInTheBody) {
  ClientCredentials client;
  client.client_id = "public";
  provider::Profile profile = plain_profile();
  const auto by_none = form_of(request_for(profile, client, RefreshInput{Secret("r")}).body.text());
  EXPECT_EQ(by_none, (Fields{{"grant_type", "refresh_token"}, {"refresh_token", "r"}, {"client_id", "public"}}));
  client.private_key = Secret("the transport's");
  profile.client.auth = {ClientAuth::kTls};
  EXPECT_EQ(form_of(request_for(profile, client, RefreshInput{Secret("r")}).body.text()), by_none);
}

TEST(ClientAuthentication, TheFirstMethodThatTheClientHasTheMeansForIsUsed) {
  const auto uses = [](std::vector<ClientAuth> offered, bool secret, bool key) {
    provider::Profile profile = plain_profile();
    profile.client.auth = std::move(offered);
    ClientCredentials client;
    client.client_id = "c";
    if (secret) client.secret = Secret("gX1fBat3bV");
    if (key) client.private_key = Secret("a key that is not PEM");
    fakes::FakeRandom random;
    auto request = build_token_request(profile, {}, client, ClientCredentialsInput{}, {}, kSent, random);
    if (!request) return std::string("assertion");  // it tried to sign with that key
    if (!header_of(*request, "Authorization").empty()) return std::string("basic");
    return std::string(form_of(request->body.text()).contains("client_secret") ? "post" : "client_id");
  };
  using enum ClientAuth;
  EXPECT_EQ(uses({kBasic, kPost}, true, false), "basic");
  EXPECT_EQ(uses({kPost, kBasic}, true, false), "post");
  EXPECT_EQ(uses({kBasic, kNone}, false, false), "client_id");
  EXPECT_EQ(uses({kNone, kBasic}, true, false), "basic");
  EXPECT_EQ(uses({kPrivateKeyJwt, kPost}, true, false), "post");
  EXPECT_EQ(uses({kPrivateKeyJwt, kPost}, true, true), "assertion");
  EXPECT_EQ(uses({kTls, kNone}, false, false), "client_id");
  EXPECT_EQ(uses({kBasic}, false, false), "basic") << "with an empty secret";
  EXPECT_EQ(uses({kPost}, false, false), "client_id") << "an empty secret is not sent";
}

TEST(ClientAuthentication, SecretJwtGoesAsAnAssertion) {
  provider::Profile profile = plain_profile();
  profile.client.auth = {ClientAuth::kClientSecretJwt};
  const auto audience = [&](const Vars& vars) {
    const auto form = form_of(request_for(profile, code(), vars).body.text());
    EXPECT_EQ(form.at("client_assertion_type"), "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    EXPECT_EQ(form.at("client_id"), "s6BhdRkqt3");
    EXPECT_FALSE(form.contains("client_secret"));
    const std::string token = form.at("client_assertion");
    const std::size_t first = token.find('.') + 1;
    const auto payload = JsonValue::parse(decode_base64url(token.substr(first, token.rfind('.') - first)).value_or(""));
    return payload ? std::string(payload->member("aud")->text()) : "";
  };
  EXPECT_EQ(audience({}), "https://as.example/token");
  profile.vars["tenant"] = {};
  profile.client.assertion_audience = "https://{tenant}.example/";
  EXPECT_EQ(audience({{"tenant", "acme"}}), "https://acme.example/");
}

TEST(ClientAuthentication, TheCredentialsOfAHeaderCanBeStruckOutOfAnEcho) {
  provider::Profile profile = plain_profile();
  EXPECT_EQ(authorization_credentials(request_for(profile, code())), "");
  profile.client.auth = {ClientAuth::kBasic};
  EXPECT_EQ(authorization_credentials(request_for(profile, code())), "czZCaGRSa3F0MzpnWDFmQmF0M2JW");
}

TEST(Encodings, JsonIsOneObjectOfStrings) {
  provider::Profile profile = plain_profile();
  profile.endpoints.token.encoding = Encoding::kJson;
  const HttpRequest request = request_for(profile, PasswordInput{"jo\"e\n", Secret("ä\\")});
  EXPECT_EQ(header_of(request, "Content-Type"), "application/json");
  EXPECT_EQ(request.body.text(), R"({"grant_type":"password","username":"jo\"e\u000a","password":"ä\\",)"
                                 R"("client_id":"s6BhdRkqt3","client_secret":"gX1fBat3bV"})");
  EXPECT_NE(error_for(profile, PasswordInput{"joe", Secret("latin-1 \xe4")}).find("UTF-8"), std::string::npos);
}

TEST(Encodings, QueryJoinsWhatTheUrlHasAlready) {
  provider::Profile profile = plain_profile();
  profile.endpoints.token.encoding = Encoding::kQuery;
  const std::pair<const char*, const char*> cases[] = {
      {"https://as.example/token", "https://as.example/token?"},
      {"https://as.example/token?v=2", "https://as.example/token?v=2&"},
      {"https://as.example/token?", "https://as.example/token?"},
      {"https://as.example/token?v=2&", "https://as.example/token?v=2&"}};
  for (const auto& [before, after] : cases) {
    profile.endpoints.token.url = before;
    const HttpRequest request = request_for(profile, RefreshInput{Secret("a b&c")});
    EXPECT_EQ(request.url,
              std::string(after) +
                  "grant_type=refresh_token&refresh_token=a+b%26c&client_id=s6BhdRkqt3&client_secret=gX1fBat3bV");
    EXPECT_TRUE(request.body.text().empty());
    EXPECT_TRUE(header_of(request, "Content-Type").empty());
  }
}

TEST(Encodings, AGetHasNoBody) {
  provider::Profile profile = plain_profile();
  profile.endpoints.refresh.url = "https://graph.example/refresh_access_token";
  profile.endpoints.refresh.method = "GET";
  profile.client.auth = {ClientAuth::kNone};
  profile.parameters[RequestKind::kRefresh].set = {{"grant_type", "ig_refresh_token"}};
  profile.parameters[RequestKind::kRefresh].omit = {"client_id"};
  const HttpRequest request = request_for(profile, AccessRefreshInput{Secret("IGQV")});
  EXPECT_EQ(request.method, "GET");
  EXPECT_EQ(request.url, "https://graph.example/refresh_access_token?grant_type=ig_refresh_token&access_token=IGQV");
  EXPECT_TRUE(request.body.text().empty());
}

TEST(Encodings, MultipartPartsAreDividedByABoundaryThatIsNotInThem) {
  provider::Profile profile = plain_profile();
  profile.endpoints.token.encoding = Encoding::kMultipart;
  profile.parameters[RequestKind::kPassword].set = {{"odd\"name\r\n", "x"}};
  const HttpRequest request = request_for(profile, PasswordInput{"joe", Secret("a\r\n--b")});
  const std::string type = header_of(request, "Content-Type");
  const std::string start = "multipart/form-data; boundary=";
  ASSERT_TRUE(type.starts_with(start)) << type;
  const std::string boundary = type.substr(start.size());
  EXPECT_GE(boundary.size(), 30U);
  EXPECT_LE(boundary.size(), 70U) << "RFC 2046, 5.1.1";
  const std::string& body = request.body.text();
  EXPECT_TRUE(body.starts_with("--" + boundary +
                               "\r\nContent-Disposition: form-data; name=\"grant_type\"\r\n\r\npassword\r\n"));
  EXPECT_TRUE(body.ends_with("\r\n--" + boundary + "--\r\n"));
  EXPECT_NE(body.find("name=\"password\"\r\n\r\na\r\n--b\r\n--" + boundary), std::string::npos);
  EXPECT_NE(body.find("name=\"odd%22name%0D%0A\""), std::string::npos);
}

TEST(Encodings, ABoundaryInTheContentIsDrawnAgain) {
  provider::Profile profile = plain_profile();
  profile.endpoints.token.encoding = Encoding::kMultipart;
  fakes::FakeRandom preview;
  const std::string first = "credsync-" + preview.base64url(18);
  const HttpRequest request = request_for(profile, PasswordInput{"joe", Secret(first)});
  EXPECT_EQ(header_of(request, "Content-Type").find(first), std::string::npos);
}

TEST(Encodings, NothingToSendMeansNoBodyAndNoContentType) {
  provider::Profile profile = plain_profile();
  profile.parameters[RequestKind::kClientCredentials].omit = {"grant_type", "scope", "client_id", "client_secret"};
  for (const Encoding encoding : {Encoding::kForm, Encoding::kJson, Encoding::kQuery, Encoding::kMultipart}) {
    profile.endpoints.token.encoding = encoding;
    const HttpRequest request = request_for(profile, ClientCredentialsInput{});
    EXPECT_EQ(request.url, "https://as.example/token");
    EXPECT_TRUE(request.body.text().empty());
    EXPECT_TRUE(header_of(request, "Content-Type").empty());
  }
}

TEST(Parameters, AreSetRenamedAndLeftOutPerKindOfRequest) {
  provider::Profile profile = plain_profile();
  profile.vars["tenant"] = {};
  provider::Parameters& rules = profile.parameters[RequestKind::kRefresh];
  rules.set = {
      {"action", "requesttoken"}, {"audience", "https://{tenant}.example"}, {"app", "{client_id}"}, {"empty", ""}};
  rules.rename = {{"client_id", "client_key"}, {"refresh_token", "token"}};
  rules.omit = {"grant_type"};
  const auto form = form_of(request_for(profile, RefreshInput{Secret("r")}, {{"tenant", "acme"}}).body.text());
  EXPECT_EQ(form, (Fields{{"action", "requesttoken"},
                          {"audience", "https://acme.example"},
                          {"app", "s6BhdRkqt3"},
                          {"client_key", "s6BhdRkqt3"},
                          {"client_secret", "gX1fBat3bV"},
                          {"token", "r"}}));
  EXPECT_TRUE(form_of(request_for(profile, code(), {{"tenant", "acme"}}).body.text()).contains("grant_type"))
      << "rules of one kind are not another's";
}

TEST(Parameters, EmptyOnesAreSentOnlyWhereTheProfileKeepsThem) {
  provider::Profile profile = plain_profile();
  const GrantInput input = ClientCredentialsInput{};
  EXPECT_FALSE(form_of(request_for(profile, input).body.text()).contains("scope"));
  profile.parameters[RequestKind::kClientCredentials].drop_empty = false;
  EXPECT_TRUE(form_of(request_for(profile, input).body.text()).contains("scope"));
}

TEST(Headers, OfTheProfileReplaceOurs) {
  provider::Profile profile = plain_profile();
  profile.endpoints.token.headers = {{"accept", "application/vnd.github+json"},
                                     {"USER-AGENT", "linux:{client_id}"},
                                     {"Notion-Version", "2022-06-28"},
                                     {"Authorization", "overruled"}};
  profile.client.auth = {ClientAuth::kBasic};
  const HttpRequest request = request_for(profile, code());
  EXPECT_EQ(header_of(request, "Accept"), "application/vnd.github+json");
  EXPECT_EQ(header_of(request, "User-Agent"), "linux:s6BhdRkqt3");
  EXPECT_EQ(header_of(request, "Notion-Version"), "2022-06-28");
  EXPECT_TRUE(header_of(request, "Authorization").starts_with("Basic "));
}

TEST(Headers, ThatCouldStartAnotherLineAreRefused) {
  for (const std::string& value : {std::string("a\r\nX: y"), std::string("a\nb"), std::string("a\rb"),
                                   std::string("a\0b", 3), std::string("a\x7f")}) {
    provider::Profile profile = plain_profile();
    profile.endpoints.token.headers = {{"X-Odd", value}};
    EXPECT_NE(error_for(profile, code()), "(built)");
  }
  for (const char* name : {"", "X Y", "X:Y", "X\r\n"}) {
    provider::Profile profile = plain_profile();
    profile.endpoints.token.headers = {{name, "v"}};
    EXPECT_NE(error_for(profile, code()), "(built)") << name;
  }
  provider::Profile profile = plain_profile();
  profile.endpoints.token.method = "POST / HTTP/1.1\r\nX:";
  EXPECT_NE(error_for(profile, code()), "(built)");
}

TEST(Templates, AreFilledInAndMissingVariablesAreNamed) {
  provider::Profile profile = plain_profile();
  profile.vars["host"] = {};
  profile.endpoints.token.url = "https://{host}/oauth/token";
  EXPECT_EQ(request_for(profile, code(), {{"host", "ja.fflogs.com"}}).url, "https://ja.fflogs.com/oauth/token");
  EXPECT_NE(error_for(profile, code()).find("{host}"), std::string::npos);
  EXPECT_NE(error_for(profile, code(), {{"host", "evil.example/x?"}}), "(built)") << "a value cannot leave its place";
  EXPECT_EQ(token_origin(profile, {{"host", "JA.fflogs.com"}}), "https://ja.fflogs.com");
  EXPECT_EQ(token_origin(profile, {}), "");
  profile.endpoints.token.url = "https://{host}:8443/x";
  EXPECT_EQ(token_origin(profile, {{"host", "as.example"}}), "https://as.example:8443");
}

TEST(Templates, WhatIsNotAWebAddressIsRefused) {
  for (const char* url : {"ftp://as.example/", "as.example/token", "https://u:p@as.example/", "https:///x",
                          "https://as.example/#f", "https://as.example/a b", ""}) {
    provider::Profile profile = plain_profile();
    profile.endpoints.token.url = url;
    EXPECT_NE(error_for(profile, code()), "(built)") << url;
  }
}

TEST(IntrospectionRequest, IsThatOfRfc7662) {
  fakes::FakeRandom random;
  provider::Profile profile = plain_profile();
  profile.client.auth = {ClientAuth::kBasic};
  const auto request =
      build_introspection_request(profile, {}, plain_client(), Secret("mF_9.B5f-4.1JqM"), kSent, random);
  ASSERT_TRUE(request);
  EXPECT_EQ(request->url, "https://as.example/introspect");
  EXPECT_EQ(request->body.text(), "token=mF_9.B5f-4.1JqM&token_type_hint=access_token");
  EXPECT_EQ(header_of(*request, "Authorization"), "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW");
  profile.endpoints.introspect.url.clear();
  EXPECT_FALSE(build_introspection_request(profile, {}, plain_client(), Secret("t"), kSent, random));
}

}  // namespace
}  // namespace credsync::oauth
