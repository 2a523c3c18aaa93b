'use strict';
// Two services of a shop, as anybody writes them: no line here knows of OpenTelemetry.
//
//   shop.js stock                      serves GET /stock by express and grpc.health by gRPC
//   shop.js front HTTP_URL GRPC_ADDR   serves GET /checkout by express; asks stock by both
//
// Prints `listening http=PORT [grpc=PORT]` and ends when standard input does, by the signal that ends any
// service: the SDK exports what it holds when SIGTERM comes.

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
  let more = '';
  if (process.argv[2] === 'stock') {
    app.get('/stock', (_, reply) => reply.json({ items: 3 }));
    const server = new grpc.Server();
    new HealthImplementation({ '': 'SERVING' }).addToServer(server);
    const bind = (resolve, reject) =>
      server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(error) : resolve(port));
    more = ` grpc=${await new Promise(bind)}`;
  } else {
    const [url, address] = process.argv.slice(3);
    const Client = grpc.makeGenericClientConstructor(service, 'grpc.health.v1.Health');
    const client = new Client(address, grpc.credentials.createInsecure());
    app.get('/checkout', async (_, reply) => {
      await get(`${url}/stock?user=secret`);
      await new Promise((resolve, reject) =>
        client.check({ service: '' }, (error, answer) => (error ? reject(error) : resolve(answer))));
      reply.json({ items: 3 });
    });
  }
  const server = app.listen(0, '127.0.0.1', () => console.log(`listening http=${server.address().port}${more}`));
  process.stdin.resume().on('end', () => process.kill(process.pid, 'SIGTERM'));
}

main();
