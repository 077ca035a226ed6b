// What the page is about, with its page views: of a JSON block of the page, else of attributes of the script's tag.
extras.push((event) => {
  if (event.n !== 'pageview') return;
  var block = document.getElementById('footfall-page'), data;
  if (block) guard(() => { data = JSON.parse(block.textContent); })();
  else {
    ['type', 'author', 'categories', 'tags'].forEach((name) => {
      var value = option[name];
      if (value) (data = data || {})[name] = /s$/.test(name) ? value.split(',') : value;
    });
  }
  event.md = data;
});
