// Redoc shows its maker's mark from the maker's server. These pages ask nobody else.
(function () {
  const image = HTMLImageElement.prototype;
  const source = Object.getOwnPropertyDescriptor(image, "src");
  const setAttribute = image.setAttribute;

  function isOurs(url) {
    const parsed = new URL(url, location.href);
    return parsed.protocol === "data:" || parsed.origin === location.origin;
  }

  // As if it could not be loaded: Redoc takes the picture away then.
  function fail(picture) {
    setTimeout(() => picture.dispatchEvent(new Event("error")));
  }

  // React uses both ways.
  Object.defineProperty(image, "src", {
    ...source,
    set(url) {
      if (isOurs(url)) {
        source.set.call(this, url);
      } else {
        fail(this);
      }
    },
  });
  image.setAttribute = function (name, value) {
    if (name !== "src" || isOurs(value)) {
      setAttribute.call(this, name, value);
    } else {
      fail(this);
    }
  };
})();
