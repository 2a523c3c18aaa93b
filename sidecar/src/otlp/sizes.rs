//! What a span says of the sizes of its bodies: claims, for nobody here counted them.

use super::attribute::Any;
use crate::runfile::Claimed;

/// The longest body that is believed, in bytes (1 TiB): sums over all requests of a run stay far below 2^64.
const LONGEST_BODY: u64 = 1 << 40;

/// What has been read of one span.
#[derive(Default)]
pub(super) struct Sizes {
    request: Size,
    reply: Size,
    /// Values that are no size.
    pub(super) ignored: u64,
}

/// One size, by the name that its attribute has now and by the one it had before.
#[derive(Default)]
struct Size {
    now: Option<u64>,
    before: Option<u64>,
}

impl Sizes {
    /// Takes in an attribute; answers whether it is one of a size.
    pub(super) fn read(&mut self, key: &[u8], value: Any<'_>) -> bool {
        let place = match key {
            b"http.request.body.size" => &mut self.request.now,
            b"http.response.body.size" => &mut self.reply.now,
            b"http.request_content_length" => &mut self.request.before,
            b"http.response_content_length" => &mut self.reply.before,
            _ => return false,
        };
        match value.whole().filter(|&bytes| bytes <= LONGEST_BODY) {
            Some(bytes) => *place = Some(bytes),
            None => self.ignored += 1,
        }
        true
    }

    /// What the span claims, in whatever order it said so; nothing is what most spans claim.
    pub(super) fn claimed(&self) -> Option<Box<Claimed>> {
        let said = |size: &Size| size.now.or(size.before);
        let claimed = Claimed { request: said(&self.request), reply: said(&self.reply) };
        (claimed != Claimed::default()).then(|| Box::new(claimed))
    }
}
