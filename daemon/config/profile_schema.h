// The schema of a provider profile, said once: a visitor that reads fills the fields, one that writes prints
// them, so the two cannot drift apart. credsyncd.toml(5), section PROVIDERS, explains every key.
#pragma once

#include "daemon/provider/profile.h"

namespace credsync::config {

// Bounds of times a provider may declare: nothing shorter is of use, nothing longer is meant.
constexpr Duration kLongestLife = days(365 * 20);
constexpr Duration kLongestOverlap = days(365);
constexpr double kMostRequestsPerSecond = 10000;
constexpr int kLowestStatus = 100;
constexpr int kHighestStatus = 599;

template <typename Visitor>
void visit(Visitor& v, provider::Variable& variable) {
  v.text("pattern", variable.pattern);
  v.strings("enum", variable.allowed);
  v.optional_text("default", variable.fallback);
}

template <typename Visitor>
void visit(Visitor& v, provider::Endpoint& endpoint) {
  v.text("url", endpoint.url);
  v.text("method", endpoint.method);
  v.choice("encoding", endpoint.encoding);
  v.string_map("headers", endpoint.headers);
}

template <typename Visitor>
void visit(Visitor& v, provider::Endpoints& endpoints) {
  v.table("authorize", endpoints.authorize);
  v.table("token", endpoints.token);
  v.table("refresh", endpoints.refresh);
  v.table("revoke", endpoints.revoke);
  v.table("device", endpoints.device);
  v.table("introspect", endpoints.introspect);
  v.table("userinfo", endpoints.userinfo);
  v.table("push", endpoints.push);
  v.table("jwks", endpoints.jwks);
}

template <typename Visitor>
void visit(Visitor& v, provider::Client& client) {
  v.choices("auth", client.auth);
  v.choice("basic_encoding", client.basic_encoding);
  v.text("assertion_audience", client.assertion_audience);
  v.text("signing_algorithm", client.signing_algorithm);
}

template <typename Visitor>
void visit(Visitor& v, provider::Parameters& parameters) {
  v.string_map("set", parameters.set);
  v.string_map("rename", parameters.rename);
  v.strings("omit", parameters.omit);
  v.boolean("drop_empty", parameters.drop_empty);
}

template <typename Visitor>
void visit(Visitor& v, provider::Authorize& authorize) {
  v.choice("pkce", authorize.pkce);
  v.choice("state", authorize.state);
  v.boolean("nonce", authorize.nonce);
  v.text("scope_separator", authorize.scope_separator);
  v.text("scope_parameter", authorize.scope_parameter);
  v.text("code_parameter", authorize.code_parameter);
  v.strings("keep", authorize.keep);
  v.choice("redirect_port", authorize.redirect_port);
  v.text("redirect_path", authorize.redirect_path);
  v.boolean("iss_required", authorize.iss_required);
  v.boolean("push_required", authorize.push_required);
}

template <typename Visitor>
void visit(Visitor& v, provider::SuccessTest& test) {
  v.text("path", test.path);
  v.text("equals", test.equals);
}

template <typename Visitor>
void visit(Visitor& v, provider::Answer& answer) {
  v.choice("format", answer.format);
  v.text("root", answer.root);
  v.string_map("fields", answer.fields);
  v.optional_table("success", answer.success);
  v.strings("keep", answer.keep);
  v.choice("expires_unit", answer.expires_unit);
  v.text("expires_at", answer.expires_at);
  v.duration("default_lifetime", Duration(1s), kLongestLife, answer.default_lifetime);
  v.boolean("jwt_expiry", answer.jwt_expiry);
  v.boolean("introspect_expiry", answer.introspect_expiry);
  v.text("scope_separator", answer.scope_separator);
  v.strings("id_token_algorithms", answer.id_token_algorithms);
}

template <typename Visitor>
void visit(Visitor& v, provider::Refresh& refresh) {
  v.choice("how", refresh.how);
  v.choice("rotation", refresh.rotation);
  v.duration("overlap", Duration::zero(), kLongestOverlap, refresh.overlap);
  v.duration("access_overlap", Duration::zero(), kLongestOverlap, refresh.access_overlap);
  v.duration("idle_life", Duration(1s), kLongestLife, refresh.idle_life);
  v.duration("absolute_life", Duration(1s), kLongestLife, refresh.absolute_life);
  v.boolean("send_scope", refresh.send_scope);
}

template <typename Visitor>
void visit(Visitor& v, provider::Revoke& revoke) {
  v.choice("how", revoke.how);
  v.optional_choice("auth", revoke.auth);
  v.boolean("access_tokens", revoke.access_tokens);
  v.boolean("refresh_tokens", revoke.refresh_tokens);
  v.boolean("hint", revoke.hint);
  v.choice("access_cascade", revoke.access_cascade);
  v.choice("refresh_cascade", revoke.refresh_cascade);
  v.statuses("success", revoke.success);
}

template <typename Visitor>
void visit(Visitor& v, provider::ErrorMatch& match) {
  v.optional_status("status", match.status);
  v.text("code", match.code);
  v.optional_choice("request", match.request);
  v.choice("class", match.error_class);
}

template <typename Visitor>
void visit(Visitor& v, provider::Errors& errors) {
  v.strings("code", errors.code);
  v.strings("text", errors.text);
  v.list("match", errors.match);
}

template <typename Visitor>
void visit(Visitor& v, provider::Limits& limits) {
  v.text("remaining", limits.remaining);
  v.text("reset", limits.reset);
  v.choice("reset_means", limits.reset_means);
  v.number("requests_per_second", kMostRequestsPerSecond, limits.requests_per_second);
}

template <typename Visitor>
void visit(Visitor& v, provider::Delivery& delivery) {
  v.text("header", delivery.header);
  v.text("prefix", delivery.prefix);
}

template <typename Visitor>
void visit(Visitor& v, provider::Profile& profile) {
  v.text("title", profile.title);
  v.text("docs", profile.docs);
  v.choices("grants", profile.grants);
  v.table_map("vars", profile.vars);
  v.text("issuer", profile.issuer);
  v.table("endpoints", profile.endpoints);
  v.table("client", profile.client);
  v.choice_map("parameters", profile.parameters);
  v.table("authorize", profile.authorize);
  v.table("answer", profile.answer);
  v.table("refresh", profile.refresh);
  v.table("revoke", profile.revoke);
  v.table("errors", profile.errors);
  v.table("limits", profile.limits);
  v.table("delivery", profile.delivery);
}

}  // namespace credsync::config
