// Keys and certificates for one run, made by openssl: a CA, the server's certificate, and what clients prove themselves by.

import { execFileSync } from 'node:child_process';
import { X509Certificate, createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const DAYS = '2';   // longer than any run

const NEW_KEY = {
  rsa: ['-newkey', 'rsa:2048'],
  ec: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
};

function openssl(...args) {
  return execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });
}

/** A private key of its own in `NAME.key`, its certificate in `NAME.pem`; signed by `issuer`, else by itself. */
function certificate(dir, name, { kind = 'ec', subject, extensions, issuer }) {
  const [key, pem] = [join(dir, `${name}.key`), join(dir, `${name}.pem`)];
  openssl('req', '-x509', ...NEW_KEY[kind], '-noenc', '-keyout', key, '-out', pem, '-days', DAYS, '-subj', subject,
    ...extensions.flatMap((text) => ['-addext', text]),
    ...(issuer ? ['-CA', issuer.pem, '-CAkey', issuer.key] : []));
  return { key, pem };
}

export function makePki(dir) {
  const ca = certificate(dir, 'ca', {
    subject: '/CN=Interop CA',
    extensions: ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign'],
  });
  const server = certificate(dir, 'server', {
    subject: '/CN=Interop provider',
    extensions: ['basicConstraints=critical,CA:FALSE', 'subjectAltName=DNS:localhost,IP:127.0.0.1', 'extendedKeyUsage=serverAuth'],
    issuer: ca,
  });
  const forClients = ['basicConstraints=critical,CA:FALSE', 'subjectAltName=DNS:client.example', 'extendedKeyUsage=clientAuth'];
  return {
    ca,
    server,
    tlsByCa: certificate(dir, 'tls-ca', { subject: '/CN=Known to the CA', extensions: forClients, issuer: ca }),
    tlsSelfSigned: certificate(dir, 'tls-self', { subject: '/CN=Vouches for itself', extensions: forClients }),
    rsa: certificate(dir, 'rsa', { kind: 'rsa', subject: '/CN=Signs assertions', extensions: forClients }),
    ec: certificate(dir, 'ec', { subject: '/CN=Signs assertions', extensions: forClients }),
  };
}

/** The public half as a JWK; with its certificate where the server is to recognise that. */
export function publicJwk({ pem }, { withCertificate = false, ...more } = {}) {
  const { raw } = new X509Certificate(readFileSync(pem));
  return {
    ...createPublicKey(readFileSync(pem)).export({ format: 'jwk' }),
    ...(withCertificate ? { x5c: [raw.toString('base64')] } : {}),
    ...more,
  };
}

