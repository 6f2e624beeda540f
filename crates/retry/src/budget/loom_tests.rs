//! Every interleaving of a few threads: `RUSTFLAGS="--cfg loom" cargo test -p backstop-retry --release --lib loom`.

use loom::sync::Arc;
use loom::thread;

use super::*;

#[test]
fn loom_one_token_goes_to_one_thread() {
    loom::model(|| {
        let bucket = Arc::new(Bucket::new(1));
        let other = {
            let bucket = Arc::clone(&bucket);
            thread::spawn(move || bucket.withdraw(0))
        };
        let here = bucket.withdraw(0);
        assert!(here ^ other.join().expect("no panic"));
    });
}

#[test]
fn loom_no_deposit_is_lost() {
    loom::model(|| {
        let bucket = Arc::new(Bucket::new(1));
        assert!(bucket.withdraw(0));
        let other = {
            let bucket = Arc::clone(&bucket);
            thread::spawn(move || {
                bucket.deposit(0);
                bucket.deposit(0);
            })
        };
        bucket.deposit(0);
        bucket.deposit(0);
        other.join().expect("no panic");
        bucket.deposit(0);
        assert!(bucket.withdraw(0), "five deposits are one token");
        assert!(!bucket.withdraw(0), "and no more");
    });
}
