// What opens at a click, such as the filters and the person's menu, opens by the keyboard, too.
(function () {
  const shown = "a:not([href])[x-on\\:click], div[x-on\\:click], span[x-on\\:click]";

  function reach(root) {
    for (const element of root.querySelectorAll(shown)) {
      if (element.hasAttribute("tabindex")) {
        continue;
      }
      element.tabIndex = 0;
      element.setAttribute("role", "button");
      if (element.classList.contains("material-symbols-outlined") && !element.ariaLabel) {
        element.ariaLabel = element.title || "Menu";
      }
    }
  }

  document.addEventListener("DOMContentLoaded", () => reach(document));
  document.addEventListener("keydown", (event) => {
    const isPress = event.key === "Enter" || event.key === " ";
    if (isPress && event.target.matches(shown)) {
      event.preventDefault();
      event.target.click();
    }
  });
})();
