// The Library tab: sends which button of its HTML was pressed, and moves the view and the focus.
window.libraryTab = {
  sendPressed(element, trigger) {
    element.addEventListener('click', (event) => {
      const button = event.target.closest('button[data-action]');
      if (button && element.contains(button) && !button.disabled) trigger('click', {...button.dataset});
    });
  },

  keepOnEscape() {
    document.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') document.querySelector('#library-keep')?.click();
    });
  },

  // The bar is at the top, the buttons that start some jobs are far below.
  showJob() {
    document.querySelector('#library-add')?.scrollIntoView({block: 'nearest', behavior: 'smooth'});
  },

  // The question takes a moment to appear.
  focusKeep(tries = 20) {
    const keep = document.querySelector('#library-keep');
    if (keep) keep.focus();
    if (tries > 0 && document.activeElement !== keep) setTimeout(() => this.focusKeep(tries - 1), 50);
  },
};
