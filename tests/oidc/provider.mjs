// A real OpenID Connect provider on a free loopback port, for the end-to-end tests. It prints its issuer; then, for each
// client id that it reads, it asks its own token endpoint over HTTP and prints the access token: a JWT by RFC 9068 with a
// `groups` claim, signed with ES256, or RS256 for ids that start with `rsa-`. It ends with its standard input.
//
// With REDIRECT_URI it also has a client `console` for log-ins with a browser (code, PKCE). PEOPLE (id -> groups) are who may come: the only one
// is asked nothing, of several the browser chooses one.
import { createServer } from 'node:http';
import { generateKeyPairSync } from 'node:crypto';
import { createInterface } from 'node:readline';
import Provider from 'oidc-provider';

// Standard output is ours: what the provider has to say goes to standard error.
console.info = console.error;

const RESOURCE = 'urn:provost';
const SECRET = 'only-for-tests';
const groups = JSON.parse(process.env.CLIENT_GROUPS); // client id -> groups
const { REDIRECT_URI } = process.env;
const people = JSON.parse(process.env.PEOPLE ?? '{}'); // id -> groups
const CONSOLE = {
  client_id: 'console',
  client_secret: SECRET,
  grant_types: ['authorization_code'],
  response_types: ['code'],
  redirect_uris: [REDIRECT_URI],
  id_token_signed_response_alg: 'ES256',
};

const key = (kind, options, alg, kid) => ({
  ...generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' }),
  alg,
  kid,
  use: 'sig',
});

const server = createServer();
server.listen(0, '127.0.0.1', async () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      ...Object.keys(groups).map((client_id) => ({
        client_id,
        client_secret: SECRET,
        token_endpoint_auth_method: 'client_secret_post',
        grant_types: ['client_credentials'],
        response_types: [],
        redirect_uris: [],
      })),
      ...(REDIRECT_URI ? [CONSOLE] : []),
    ],
    claims: { openid: ['sub'], groups: ['groups'] },
    conformIdTokenClaims: false,
    findAccount: (_context, accountId) => ({
      accountId,
      claims: () => ({ sub: accountId, groups: people[accountId] }),
    }),
    interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
    // Consent is given by being asked.
    loadExistingGrant: async (context) => {
      const { client, session, provider: { Grant } } = context.oidc;
      const grant = new Grant({ clientId: client.clientId, accountId: session.accountId });
      grant.addOIDCScope('openid groups');
      await grant.save();
      return grant;
    },
    jwks: {
      keys: [
        key('ec', { namedCurve: 'P-256' }, 'ES256', 'elliptic'),
        key('rsa', { modulusLength: 2048 }, 'RS256', 'rsa'),
      ],
    },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: (_context, client) => (client.clientId === 'console' ? undefined : RESOURCE),
        getResourceServerInfo: (_context, _resource, client) => ({
          scope: '',
          audience: 'provost',
          accessTokenTTL: 300,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: client.clientId.startsWith('rsa-') ? 'RS256' : 'ES256' } },
        }),
      },
    },
    extraTokenClaims: (_context, token) => ({ groups: groups[token.clientId] }),
  });
  const answer = provider.callback();
  server.on('request', (request, response) => {
    const [, place, interaction, chosen] = request.url.split('/');
    if (place !== 'interaction') return answer(request, response);
    const ids = Object.keys(people);
    const accountId = ids.length === 1 ? ids[0] : ids[Number(chosen)];
    if (accountId) return provider.interactionFinished(request, response, { login: { accountId } });
    const link = (id, number) => `<p><a href="/interaction/${interaction}/${number}">${id}</a>`;
    response.setHeader('content-type', 'text/html; charset=utf-8');
    return response.end(`<title>Who are you?</title>${ids.map(link).join('')}`);
  });
  console.log(issuer);

  for await (const client_id of createInterface({ input: process.stdin })) {
    const answer = await fetch(`${issuer}/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'client_credentials',
        client_id,
        client_secret: SECRET,
        resource: RESOURCE,
      }),
    });
    console.log((await answer.json()).access_token ?? '');
  }
  process.exit(0);
});
