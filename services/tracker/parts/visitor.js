// The site's visitors have an id that their browser keeps (identity persistent).
extras.push((event) => {
  guard(() => {
    var id = localStorage.footfall_visitor;
    event.visitor = /^[\da-f]{32}$/.test(id) ? id : (localStorage.footfall_visitor = randomId());
  })();
});
