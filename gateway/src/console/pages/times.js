// Times in the zone of whoever reads, with UTC behind them. Without this script they stand in UTC.
'use strict';
(() => {
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
  const translate = () => {
    for (const time of document.querySelectorAll('time[datetime]')) {
      const at = new Date(time.dateTime);
      if (time.dataset.utc || Number.isNaN(at.valueOf())) continue;
      time.dataset.utc = time.textContent;
      time.title = time.textContent;
      time.textContent = format.format(at);
    }
  };
  translate();
  // Runs before what is put into the page is painted; translated times change nothing more, so it ends.
  new MutationObserver(translate).observe(document.body, { childList: true, subtree: true });
})();
