// oidc-provider on loopback HTTPS, with a ledger of what it did. For tests only: it lets everybody in.
//
//     node provider.mjs DIR
//
// DIR gets keys and certificates, `ledger` (a JSON object a line) and, once it listens, `ready` (JSON: issuer, ca_file, clients).
// It ends when stdin is closed, so that no test leaves one behind.

import { appendFileSync, renameSync, writeFileSync, readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createPrivateKey, randomBytes } from 'node:crypto';
import { join } from 'node:path';

import Provider from 'oidc-provider';

import { registrations } from './clients.mjs';
import { makePki } from './pki.mjs';

const ROTATING_LIFE = 10;        // s: a generation in less than five seconds
const REFRESH_TOKEN_LIFE = 3600; // s

const dir = process.argv[2];
const pki = makePki(dir);
const clients = registrations(pki, ROTATING_LIFE);
const lifetimes = new Map(clients.map(({ client_id, lifetime }) => [client_id, lifetime]));
const lifetime = (ctx, token, client) => lifetimes.get(client.clientId);

function note(event, fields) {
  appendFileSync(join(dir, 'ledger'), `${JSON.stringify({ at: Date.now() / 1000, event, ...fields })}\n`);
}

const peerCertificate = (ctx) => ctx.socket.getPeerX509Certificate();

const configuration = {
  clients: clients.map(({ lifetime: _, ...metadata }) => metadata),
  clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt', 'tls_client_auth',
    'self_signed_tls_client_auth', 'none'],
  enabledJWA: { clientAuthSigningAlgValues: ['HS256', 'RS256', 'PS256', 'ES256'] },
  cookies: { keys: [randomBytes(32).toString('base64url')] },
  jwks: { keys: [{ ...createPrivateKey(readFileSync(pki.rsa.key)).export({ format: 'jwk' }), use: 'sig', kid: 'id-tokens' }] },
  features: {
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true },
    mTLS: {
      enabled: true,
      tlsClientAuth: true,
      selfSignedTlsClientAuth: true,
      getCertificate: peerCertificate,
      certificateAuthorized: (ctx) => ctx.socket.authorized,
      certificateSubjectMatches: (ctx, property, expected) => (
        property === 'tls_client_auth_san_dns' && peerCertificate(ctx).checkHost(expected) !== undefined),
    },
  },
  // Each refresh brings a new refresh token; the old one, sent again, kills the grant.
  rotateRefreshToken: () => true,
  ttl: {
    AccessToken: lifetime, ClientCredentials: lifetime, RefreshToken: REFRESH_TOKEN_LIFE,
    AuthorizationCode: 60, DeviceCode: 60, Grant: REFRESH_TOKEN_LIFE, IdToken: 60, Interaction: 300, Session: 300,
  },
};

/** The ledger names tokens as callers know them: they are opaque here, and their id is the token. */
function keepLedger(provider) {
  for (const kind of ['access_token', 'client_credentials', 'refresh_token']) {
    for (const what of ['saved', 'consumed', 'destroyed']) {
      provider.on(`${kind}.${what}`, (token) => note(`${kind} ${what}`, {
        token: token.jti, client: token.clientId, grant: token.grantId,
        expires_at: token.exp ?? Math.floor(Date.now() / 1000) + token.expiration }));   // a new one has no `exp` yet
    }
  }
  provider.on('grant.revoked', (ctx, grant) => note('grant revoked', { grant, client: ctx.oidc.client?.clientId }));
  for (const name of ['grant.error', 'revocation.error', 'introspection.error', 'authorization.error', 'server_error']) {
    provider.on(name, (ctx, error) => note(name, {
      client: ctx.oidc?.client?.clientId, error: error.error ?? error.message, detail: error.error_detail ?? error.stack }));
  }
  provider.use(async (ctx, next) => {
    await next();
    note('request', {
      path: ctx.path, method: ctx.method, status: ctx.status, route: ctx.oidc?.route, grant_type: ctx.oidc?.params?.grant_type,
      client: ctx.oidc?.client?.clientId, client_auth: ctx.oidc?.client?.clientAuthMethod });
  });
}

const server = createServer({
  key: readFileSync(pki.server.key),
  cert: readFileSync(pki.server.pem),
  ca: readFileSync(pki.ca.pem),
  requestCert: true,
  rejectUnauthorized: false,   // a self-signed client is recognised by its registered key
  minVersion: 'TLSv1.2',
});

server.listen(0, '127.0.0.1', () => {
  const issuer = `https://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, configuration);
  keepLedger(provider);
  server.on('request', provider.callback());
  const file = join(dir, 'ready');
  writeFileSync(`${file}.new`, JSON.stringify({ issuer, pki, clients }), { mode: 0o600 });
  renameSync(`${file}.new`, file);   // who polls for it never reads half of it
});

process.stdin.on('end', () => process.exit(0)).resume();
