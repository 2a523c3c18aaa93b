'use strict';
// Two services of a shop, as anybody writes them: no line here knows of OpenTelemetry.
//
//   shop.js stock                      serves GET /stock by express and grpc.health by gRPC
//   shop.js front HTTP_URL GRPC_ADDR   serves GET /checkout by express; asks stock by both
//
// Prints `listening http=PORT [grpc=PORT]`. When standard input ends it closes what it has, and so ends: the SDK
// exports what it holds before that.

const express = require('express');
const grpc = require('@grpc/grpc-js');
const http = require('http');
const { HealthImplementation, service } = require('grpc-health-check');

const get = (url) =>
  new Promise((resolve, reject) => {
    http.get(url, (reply) => reply.resume().on('end', resolve)).on('error', reject);
  });

async function main() {
  const app = express();
  const close = [];
  let more = '';
  if (process.argv[2] === 'stock') {
    app.get('/stock', (_, reply) => reply.json({ items: 3 }));
    const server = new grpc.Server();
    close.push(() => server.forceShutdown());
    new HealthImplementation({ '': 'SERVING' }).addToServer(server);
    const bind = (resolve, reject) =>
      server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(error) : resolve(port));
    more = ` grpc=${await new Promise(bind)}`;
  } else {
    const [url, address] = process.argv.slice(3);
    const Client = grpc.makeGenericClientConstructor(service, 'grpc.health.v1.Health');
    const client = new Client(address, grpc.credentials.createInsecure());
    close.push(() => client.close());
    app.get('/checkout', async (_, reply) => {
      await get(`${url}/stock?user=secret`);
      await new Promise((resolve, reject) =>
        client.check({ service: '' }, (error, answer) => (error ? reject(error) : resolve(answer))));
      reply.json({ items: 3 });
    });
  }
  const server = app.listen(0, '127.0.0.1', () => console.log(`listening http=${server.address().port}${more}`));
  close.push(() => server.close(), () => server.closeAllConnections());
  process.stdin.resume().on('end', () => close.forEach((end) => end()));
}

main();
