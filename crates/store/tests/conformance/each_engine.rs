//! Every test runs on every engine: `sqlite::name` and `postgres::name`.

/// Makes a test of each function for each engine. A function that is not named is unused, which is an error.
macro_rules! each_engine {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name(crate::harness::Engine::Sqlite).await;
                }
            )+
        }
        mod postgres {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name(crate::harness::Engine::Postgres).await;
                }
            )+
        }
    };
}
