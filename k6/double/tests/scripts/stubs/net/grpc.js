// In the place of k6's module `k6/net/grpc`: keeps what is asked, and answers what the world says.

import { world } from '../world.js';

const StatusOK = 0;

class Client {
  load(...args) {
    this.loaded = args;
  }

  connect(address, params) {
    this.address = address;
    this.params = params;
    return true;
  }

  invoke(method, message, params = {}) {
    const asked = { method, address: this.address, message, metadata: { ...params?.metadata }, tags: params?.tags ?? {} };
    world.asked.push(asked);
    return { status: StatusOK, message: {}, headers: {}, trailers: {}, error: null, ...world.answer(asked) };
  }

  async asyncInvoke(...args) {
    return this.invoke(...args);
  }

  healthcheck() {
    return { status: StatusOK };
  }

  close() {
    this.address = undefined;
  }
}

class Stream {
  constructor(client, method) {
    if (!(client instanceof Client)) {
      throw new TypeError('not a client of k6');
    }
    this.method = method;
  }
}

export default { Client, Stream, StatusOK, StatusUnavailable: 14, HealthcheckServing: 1 };
