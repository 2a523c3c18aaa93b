// What the stand-ins for k6's modules share: what was asked, and what is answered.

export const world = {
  // Set by who runs a script.
  answer: () => ({ status: 0, body: null }),
  startTime: 0,
  iteration: 0,
  // Kept for who reads it.
  asked: [],
  checks: [],
  metrics: {},
  tags: {},
  metadata: {},
};
