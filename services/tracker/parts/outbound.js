// Clicks on links that lead to another host.
onLink((link) => {
  if (link.host !== page.host && /^http/.test(link.protocol)) send('Outbound Link: Click', { props: { url: link.href } });
});
