// Comfort. Everything works without it.
"use strict";

// Ordered choices: chosen ones stand first, in their order, with buttons to move them.
for (const group of document.querySelectorAll("[data-order]")) {
  const list = group.querySelector(".choices");
  if (!list) continue;
  group.classList.add("scripted");
  const items = Array.from(list.children);
  const box = (item) => item.querySelector("input[type=checkbox]");
  const place = (item) => item.querySelector(".place");
  const chosen = () => Array.from(list.children).filter((item) => box(item).checked);
  const number = () => {
    for (const item of list.children) place(item).value = "";
    chosen().forEach((item, index) => { place(item).value = index + 1; });
  };
  const move = (item, up) => {
    const all = chosen();
    const other = all[all.indexOf(item) + (up ? -1 : 1)];
    if (!other) return;
    if (up) other.before(item); else other.after(item);
    number();
  };
  for (const item of items) {
    for (const up of [true, false]) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "move";
      button.textContent = up ? "↑" : "↓";
      button.setAttribute("aria-label", (up ? "Move up: " : "Move down: ") + item.querySelector("label").textContent.trim());
      button.addEventListener("click", () => { move(item, up); button.focus(); });
      item.append(button);
    }
    box(item).addEventListener("change", () => {
      const last = chosen().filter((each) => each !== item).pop();
      if (box(item).checked) { if (last) last.after(item); else list.prepend(item); }
      else if (last && Array.from(list.children).indexOf(last) > Array.from(list.children).indexOf(item)) last.after(item);
      number();
    });
  }
  items.filter((item) => box(item).checked).sort((a, b) => place(a).value - place(b).value).reverse().forEach((item) => list.prepend(item));
  number();
  if (items.length > 8) {
    const search = document.createElement("input");
    search.type = "search";
    search.placeholder = "Search";
    search.setAttribute("aria-label", "Search in " + group.querySelector("legend").textContent.trim());
    search.addEventListener("input", () => {
      const wanted = search.value.toLowerCase();
      for (const item of items) item.hidden = !box(item).checked && !item.textContent.toLowerCase().includes(wanted);
    });
    list.before(search);
  }
}

// A nested part that is not included cannot be filled in.
for (const check of document.querySelectorAll("[data-includes]")) {
  const fields = check.closest("fieldset").querySelector(":scope > .fields");
  const apply = () => { fields.hidden = !check.checked; };
  check.addEventListener("change", apply);
  apply();
}

// JSON: the tabulator key indents, and mistakes are shown before anything is sent.
for (const area of document.querySelectorAll("textarea[data-json]")) {
  area.addEventListener("input", () => area.setCustomValidity(""));
  area.addEventListener("change", () => {
    try { JSON.parse(area.value || "{}"); area.setCustomValidity(""); }
    catch (error) { area.setCustomValidity("This is not JSON: " + error.message); area.reportValidity(); }
  });
}

// Filters that say nothing do not have to stand in the address.
for (const form of document.querySelectorAll(".filters form")) {
  form.addEventListener("formdata", (event) => {
    for (const [name, value] of Array.from(event.formData.entries())) if (!value) event.formData.delete(name);
  });
}

// What was answered can be copied.
const json = document.querySelector("pre.json");
if (json && navigator.clipboard) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "small";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(json.textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  document.querySelector(".answer .buttons").prepend(button);
}
