// Clicks on links that lead to another host; of a link's address as much as a property may have.
onLink((link) => {
  if (link.host !== page.host && /^http/.test(link.protocol))
    send('Outbound Link: Click', { props: { url: link.href.slice(0, 2e3) } });
});
