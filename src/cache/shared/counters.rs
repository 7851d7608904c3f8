//! Numbers that others keep in the same Redis, over the same connections and under the same breaker.

use super::{Shared, Wait};

impl Shared {
    /// The whole name of a counter.
    pub fn counter(&self, name: &str) -> String {
        self.names.counter(name)
    }

    /// Another number for each connection, behind which everything may be lost; `None` while Redis is not asked.
    pub fn connection(&self) -> Option<u64> {
        self.breaker.connection()
    }

    /// What a Lua script over counters gives back; `None` where it cannot be had in time, whyever. It may have
    /// been run all the same.
    pub async fn count(
        &self,
        wait: Wait,
        script: &str,
        counters: &[String],
        arguments: &[String],
    ) -> Option<Vec<i64>> {
        let lines = self.breaker.lines()?;
        let (mut line, limit) = self.line(&lines, wait);
        let mut call = redis::cmd("EVAL");
        call.arg(script).arg(counters.len()).arg(counters).arg(arguments);
        self.timed(&lines, "count", limit, call.query_async::<Vec<i64>>(&mut line)).await.ok()
    }
}
