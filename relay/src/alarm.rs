//! A timer that is right to some microseconds. The runtime's own is no finer than a millisecond: a delay of one
//! millisecond would become two.

use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use ledger::clock;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

const SECOND: u64 = 1_000_000_000;

/// A timer of the kernel's.
#[derive(Debug)]
pub(crate) struct Alarm {
    timer: AsyncFd<OwnedFd>,
    /// When it rings; 0 if it is not set.
    at: u64,
}

impl Alarm {
    /// An alarm that is not set, in the current runtime.
    pub(crate) fn new() -> io::Result<Alarm> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        #[expect(
            deprecated,
            reason = "an owned descriptor stays open while it is kept; the other way is unsafe code"
        )]
        let timer = AsyncFd::with_interest(timer, Interest::READABLE)?;
        Ok(Alarm { timer, at: 0 })
    }

    /// Ready at `at` nanoseconds of the lab's clock, which is the timer's.
    pub(crate) fn poll_until(&mut self, at: u64, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while clock::now() < at {
            if self.at != at {
                let when = Timespec {
                    tv_sec: (at / SECOND).cast_signed(),
                    tv_nsec: (at % SECOND).cast_signed(),
                };
                let once = Itimerspec { it_interval: Timespec::default(), it_value: when };
                timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::ABSTIME, &once)?;
                self.at = at;
            }
            let mut rung = ready!(self.timer.poll_read_ready(cx))?;
            // How often it rang is of no interest.
            match rustix::io::read(rung.get_inner(), &mut [0; 8]) {
                Ok(_) => {}
                Err(rustix::io::Errno::AGAIN) => rung.clear_ready(),
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_never_rings_early_and_may_be_set_to_another_time() {
        let mut alarm = Alarm::new().unwrap();
        for wait in [300_000, 5_000_000, 1_000_000, 0] {
            let at = clock::now() + wait;
            std::future::poll_fn(|cx| alarm.poll_until(at, cx)).await.unwrap();
            assert!(clock::now() >= at);
        }
    }
}
