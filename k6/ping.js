// The gateway, asked for a payload of SIZE bytes over PROTOCOL.
//
//   k6 run -e GATEWAY=http://127.0.0.1:8080 -e PROTOCOL=grpc -e SIZE=10kB -e RATE=100 -e DURATION=10s k6/ping.js
//
// Also: WARMUP, TIMEOUT, MAX_VUS, PRE_ALLOCATED_VUS, SAMPLE_EVERY, THRESHOLDS (JSON), SUMMARY (a file).

import { ask, gateway, options, payload, protocol, summary } from './load.js';

const size = payload('SIZE', '10');
const url = `${gateway}/${protocol}/ping`;
const body = JSON.stringify({ size });
// The reply up to its payload. Comparing text costs a payload of 1 MB no parsing.
const envelope = `{"from":"gateway","protocol":"${protocol}","size":${size},"payload":"`;

const says = 'says what was asked';
const tests = {
  [says]: (r) => typeof r.body === 'string' && r.body.startsWith(envelope),
  // Not required: a payload of another length was answered, and the taps prove what was sent.
  'payload has the size asked for': (r) =>
    typeof r.body === 'string' && r.body.length === envelope.length + size + 2,
};

export { options };

export default function () {
  ask('POST', url, body, tests, [says]);
}

export const handleSummary = summary;
