// The clients that are registered: one for each way to authenticate, those that hold grants, and a resource server.

import { randomBytes } from 'node:crypto';

import { publicJwk } from './pki.mjs';

const CLIENT_CREDENTIALS_LIFE = 60;   // s: long enough that a token that is dead after a moment was revoked, not outlived
const SIGNED_IN_LIFE = 60;
const SIGN_IN = {
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  redirect_uris: ['https://client.example/callback'],   // nothing is served there: tests read the code from the redirect
};
// The daemon's own listener: a native client may use any port of the loopback address (RFC 8252, 7.3).
const LISTENS = { ...SIGN_IN, application_type: 'native', redirect_uris: ['http://127.0.0.1/callback'] };
const ON_A_DEVICE = {
  application_type: 'native',
  grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
  response_types: [],
  redirect_uris: [],
};
const BY_ITSELF = { grant_types: ['client_credentials'], response_types: [], redirect_uris: [] };

const secret = () => randomBytes(32).toString('base64url');

/** What RFC 6749 2.3.1 has form-encoded before it is put into Basic: a raw client fails with these. */
const AWKWARD = { id: 'reports: 50% + 1/2', secret: `${secret()} +%25:&="'~` };

/** `rotating` is the life of an access token that stands beside a rotating refresh token, in seconds. */
export function registrations(pki, rotating) {
  const byItself = (client_id, token_endpoint_auth_method, more) => (
    { ...BY_ITSELF, client_id, token_endpoint_auth_method, lifetime: CLIENT_CREDENTIALS_LIFE, ...more });
  const signIn = (client_id, token_endpoint_auth_method, more) => (
    { ...SIGN_IN, client_id, token_endpoint_auth_method, lifetime: rotating, ...more });
  const signed = (alg, key) => (
    { token_endpoint_auth_signing_alg: alg, jwks: { keys: [publicJwk(key, { use: 'sig', alg, kid: `key-${alg}` })] } });
  return [
    byItself('cc-basic', 'client_secret_basic', { client_secret: secret() }),
    byItself(AWKWARD.id, 'client_secret_basic', { client_secret: AWKWARD.secret }),
    byItself('cc-post', 'client_secret_post', { client_secret: secret() }),
    byItself('cc-secret-jwt', 'client_secret_jwt', { client_secret: secret(), token_endpoint_auth_signing_alg: 'HS256' }),
    byItself('cc-rs256', 'private_key_jwt', signed('RS256', pki.rsa)),
    byItself('cc-ps256', 'private_key_jwt', signed('PS256', pki.rsa)),
    byItself('cc-es256', 'private_key_jwt', signed('ES256', pki.ec)),
    byItself('cc-tls-ca', 'tls_client_auth', { tls_client_auth_san_dns: 'client.example' }),
    byItself('cc-tls-self', 'self_signed_tls_client_auth',
      { jwks: { keys: [publicJwk(pki.tlsSelfSigned, { withCertificate: true })] } }),
    signIn('rt-public', 'none', { application_type: 'native', redirect_uris: ['http://127.0.0.1/callback'] }),
    signIn('rt-basic', 'client_secret_basic', { client_secret: secret() }),
    signIn('rt-rs256', 'private_key_jwt', signed('RS256', pki.rsa)),
    signIn('rt-signs-out', 'client_secret_post', { client_secret: secret(), lifetime: CLIENT_CREDENTIALS_LIFE }),
    { ...LISTENS, client_id: 'code-basic', token_endpoint_auth_method: 'client_secret_basic', client_secret: secret(),
      lifetime: SIGNED_IN_LIFE },
    { ...LISTENS, client_id: 'code-public', token_endpoint_auth_method: 'none', lifetime: SIGNED_IN_LIFE },
    { ...LISTENS, client_id: 'code-pushes', token_endpoint_auth_method: 'client_secret_basic', client_secret: secret(),
      require_pushed_authorization_requests: true, lifetime: SIGNED_IN_LIFE },
    { ...ON_A_DEVICE, client_id: 'device-public', token_endpoint_auth_method: 'none', lifetime: SIGNED_IN_LIFE },
    { ...ON_A_DEVICE, client_id: 'device-basic', token_endpoint_auth_method: 'client_secret_basic', client_secret: secret(),
      lifetime: SIGNED_IN_LIFE },
    { ...BY_ITSELF, client_id: 'resource-server', token_endpoint_auth_method: 'client_secret_basic', client_secret: secret(),
      lifetime: CLIENT_CREDENTIALS_LIFE },
  ];
}
