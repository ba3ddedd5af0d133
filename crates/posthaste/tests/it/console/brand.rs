//! The console by the operator's own name, picture, colour and theme.

use super::{EVERYWHERE, Person, between, header, text_of};
use crate::server::{START, Store, World};
use testkit::Chromium;
use web::{Logo, Look, Theme};

const SQUARE: &[u8] =
    b"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 9 9'><path d='M0 0h9v9z'/></svg>";

async fn with_look(store: Store, theme: Theme) -> World {
    let logo = Logo { media_type: "image/svg+xml", bytes: SQUARE.into() };
    let look = Look {
        name: "Acme <Hooks>".to_owned(),
        logo: Some(logo),
        // As it is, nobody could read it on white.
        colour: "#ffe600".parse().ok(),
        theme,
    };
    World::with((store, START), |config| config.look = look).await
}

async fn every_page_has_the_operators_name_picture_and_colour(store: Store) {
    let world = with_look(store, Theme::Auto).await;
    let ada = Person::of(&world, "ada@acme.example", &[EVERYWHERE]).await;
    let pages =
        ["/login", "/account", "/app/nothing/endpoint", &format!("/app/{}/endpoint", world.application)];
    let nobody = Person::new(&world);
    for (n, path) in pages.into_iter().enumerate() {
        let page = text_of(&if n == 0 { nobody.get(path).await } else { ada.get(path).await });
        assert!(page.contains("Acme &#60;Hooks&#62;</title>"), "{path}: {page}");
        assert!(!page.contains("Posthaste"), "{path}: {page}");
        let style = nobody
            .get(&format!(
                "/brand/{}/brand.css",
                between(&page, "rel=\"stylesheet\" href=\"/brand/", "/brand.css").expect("styles")
            ))
            .await;
        assert!(header(&style, "content-type").starts_with("text/css"));
        assert!(text_of(&style).contains("--accent:light-dark(#"), "{}", text_of(&style));
        let logo = nobody
            .get(&format!("/brand/{}/logo", between(&page, "src=\"/brand/", "/logo").expect("a picture")))
            .await;
        assert_eq!((logo.status, &*text_of(&logo)), (200, std::str::from_utf8(SQUARE).expect("text")));
        assert!(header(&logo, "cache-control").contains("immutable"));
    }
    world.stop().await;
}

async fn an_authenticator_app_is_told_the_operators_name(store: Store) {
    let world = with_look(store, Theme::Auto).await;
    let ada = Person::of(&world, "ada@acme.example", &[EVERYWHERE]).await;
    let page = text_of(&ada.get("/account/totp").await);
    assert!(page.contains("otpauth://totp/Acme%20%3CHooks%3E%20posthaste.test:"), "an address of theirs");
    assert!(page.contains("Add Acme &#60;Hooks&#62; to your authenticator app"), "{page}");
    world.stop().await;
}

async fn a_colour_that_could_not_be_read_is_made_readable_on_either_theme(store: Store) {
    let world = with_look(store, Theme::Auto).await;
    let browser = Chromium::start().await;
    browser.goto(&format!("{}/login", world.url())).await;
    for dark in [false, true] {
        browser.dark(dark).await;
        assert_eq!(browser.axe().await, Vec::<String>::new());
    }
    world.stop().await;
}

async fn a_theme_can_be_the_only_one(store: Store) {
    let world = with_look(store, Theme::Dark).await;
    let browser = Chromium::start().await;
    browser.dark(false).await;
    browser.goto(&format!("{}/login", world.url())).await;
    let ground = browser.script("return getComputedStyle(document.body).backgroundColor", &[]).await;
    assert_eq!(ground, "rgb(19, 20, 23)", "dark though the browser wants light");
    world.stop().await;
}

each_store!(
    an_authenticator_app_is_told_the_operators_name,
    every_page_has_the_operators_name_picture_and_colour,
    a_colour_that_could_not_be_read_is_made_readable_on_either_theme,
    a_theme_can_be_the_only_one,
);
