// What pages need beyond htmx: buttons that copy, and code that follows the form it belongs to.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.closest("figure").querySelector("pre").textContent);
  const before = button.firstChild.textContent;
  button.firstChild.textContent = "Copied";
  setTimeout(() => (button.firstChild.textContent = before), 1500);
});

const timers = new WeakMap();

async function showCode(details) {
  const form = details.closest("form");
  const response = await fetch(details.dataset.code, {
    method: "POST",
    headers: { "HX-Request": "true" },
    body: new URLSearchParams(new FormData(form)),
  });
  details.querySelector(".code-body").innerHTML = await response.text();
}

function later(details) {
  clearTimeout(timers.get(details));
  timers.set(
    details,
    setTimeout(() => showCode(details), 200),
  );
}

document.addEventListener(
  "toggle",
  (event) => event.target.matches?.("details[data-code]") && event.target.open && showCode(event.target),
  true,
);
document.addEventListener("input", (event) => {
  const details = event.target.closest("form")?.querySelector("details[data-code][open]");
  if (details) later(details);
});
// A choice that belongs to a radio button chooses it.
document.addEventListener("change", (event) => {
  const radio = event.target.closest(".check")?.querySelector('input[type="radio"]');
  if (radio && radio !== event.target) {
    radio.checked = true;
    radio.dispatchEvent(new Event("input", { bubbles: true }));
  }
});
