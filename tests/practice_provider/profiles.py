"""Provider profiles (TOML) that point the daemon at a practice provider."""

import json

PATHS = {
    "flat": {"authorize": "/flat/auth/oauth", "token": "/flat/oauth/access_token", "revoke": "/flat/oauth/invalidate_token",
             "userinfo": "/flat/v2/me"},
    "flume": {"token": "/flume/oauth/token"},
    "fflogs": {"authorize": "/fflogs/oauth/authorize", "token": "/fflogs/oauth/token"},
    "example": {"authorize": "/example/api/authorize.php", "token": "/example/api/token.php",
                "userinfo": "/example/api/userinfo.php"},
}
RFC_PATHS = {"authorize": "/authorize", "token": "/token", "revoke": "/revoke", "introspect": "/introspect",
             "device": "/device_authorization", "userinfo": "/userinfo"}
RFC_GRANTS = ["authorization_code", "implicit", "device_code", "password", "client_credentials", "refresh_token"]


def toml(value):
    """A TOML value. JSON's spelling of strings, numbers, booleans and arrays is TOML's too."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(v)}" for key, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(toml(v) for v in value) + "]"
    return json.dumps(value)


def overrides(base_url):
    """Lays the practice provider's URLs, and nothing else, over the shipped profiles of the four mission providers."""
    lines = []
    for provider, endpoints in PATHS.items():
        for name, path in endpoints.items():
            lines += [f"[provider.{provider}.endpoints.{name}]", f"url = {toml(base_url + path)}", ""]
    return "\n".join(lines)


def rfc(profile_id, base_url, instance, tables=None, without=()):
    """A whole profile of an RFC instance. `tables` such as {"refresh": {"rotation": "always"}} is laid over it."""
    head = {"title": f"Practice {instance}", "grants": RFC_GRANTS}
    merged = {"client": {"auth": ["basic"]}, "revoke": {"access_cascade": "none", "refresh_cascade": "grant"}}
    for name, table in (tables or {}).items():
        if isinstance(table, dict):
            merged[name] = {**merged.get(name, {}), **table}
        else:
            head[name] = table
    lines = [f"[provider.{profile_id}]", *(f"{k} = {toml(v)}" for k, v in head.items()), ""]
    for name, path in RFC_PATHS.items():
        if name not in without:
            url = f"{base_url}/{instance}{path}"
            lines += [f"[provider.{profile_id}.endpoints.{name}]", f"url = {toml(url)}", ""]
    for name, table in merged.items():
        lines += [f"[provider.{profile_id}.{name}]", *(f"{k} = {toml(v)}" for k, v in table.items()), ""]
    return "\n".join(lines)
