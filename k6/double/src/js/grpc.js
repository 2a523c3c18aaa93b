// k6's module `k6/net/grpc`: there to be imported. The double makes no call by gRPC.

import { cannot } from 'double:host';

export const StatusOK = 0;
export class Client {
  constructor() {
    cannot('ask by gRPC');
  }
}
export class Stream {
  constructor() {
    cannot('ask by gRPC');
  }
}
export default { Client, Stream, StatusOK };
