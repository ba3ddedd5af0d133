// What the console's pages do in the browser beyond what HTML does by itself. Without it every page still works.
"use strict";

// Copies what a button holds, and says so for a moment.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const label = button.querySelector("span");
  const before = label.textContent;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    label.textContent = "Copied";
  } catch {
    label.textContent = "Select it and copy by hand";
  }
  setTimeout(() => { label.textContent = before; }, 1600);
});

// A list that is narrowed down while one types.
document.addEventListener("input", (event) => {
  const box = event.target.closest("[data-filter]");
  if (!box) return;
  const wanted = box.value.trim().toLowerCase();
  for (const item of document.querySelectorAll(box.dataset.filter)) {
    item.hidden = !item.textContent.toLowerCase().includes(wanted);
  }
  for (const group of document.querySelectorAll("[data-group]")) {
    group.hidden = !group.querySelector("[data-item]:not([hidden])");
  }
});

// One more row of the same kind.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-more]");
  if (!button) return;
  const rows = document.getElementById(button.dataset.more);
  const row = rows.lastElementChild.cloneNode(true);
  for (const input of row.querySelectorAll("input")) {
    input.value = "";
  }
  rows.append(row);
  row.querySelector("input").focus();
});

// A page that asks before something happens comes as a dialog; without this script it is a page of its own.
document.addEventListener("click", async (event) => {
  const link = event.target.closest("a[data-dialog]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const dialog = document.getElementById("dialog");
  try {
    const answer = await fetch(link.href, { headers: { accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const main = page.querySelector("main");
    if (!answer.ok || !main) throw new Error(String(answer.status));
    dialog.replaceChildren(...main.children);
    dialog.showModal();
    wake(dialog);
  } catch {
    location.assign(link.href);
  }
});
document.addEventListener("click", (event) => {
  const close = event.target.closest("dialog [data-close]");
  if (!close) return;
  event.preventDefault();
  close.closest("dialog").close();
});

// In code the tabulator indents; after Escape it goes on to the next field, as everywhere.
document.addEventListener("keydown", (event) => {
  const area = event.target.closest("[data-code]");
  if (!area) return;
  if (event.key === "Escape") area.dataset.left = "yes";
  if (event.key !== "Tab" || event.shiftKey || area.dataset.left) return;
  event.preventDefault();
  area.setRangeText("  ", area.selectionStart, area.selectionEnd, "end");
});

// A form is sent once, however often its button is pressed.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  if (form.method === "post" && !form.hasAttribute("hx-post")) form.dataset.sent = "yes";
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// Lists that go on by themselves: each event is a row.
const live = (list) => {
  const source = new EventSource(list.dataset.live);
  source.addEventListener("row", (event) => {
    const holder = document.createElement("template");
    holder.innerHTML = event.data;
    for (const row of holder.content.querySelectorAll("[id]")) {
      document.getElementById(row.id)?.remove();
    }
    list.prepend(holder.content);
    document.getElementById(list.dataset.empty)?.remove();
    while (list.children.length > 200) list.lastElementChild.remove();
  });
  addEventListener("pagehide", () => source.close());
};

// What is there from the beginning, or came later.
const wake = (root) => {
  for (const button of root.querySelectorAll("[data-copy][hidden], [data-more][hidden], [data-needs-script][hidden]")) {
    button.hidden = false;
  }
  for (const list of root.querySelectorAll("[data-live]")) live(list);
  root.querySelector(".mistakes")?.focus();
};
wake(document);
document.addEventListener("htmx:load", (event) => wake(event.detail.elt));
