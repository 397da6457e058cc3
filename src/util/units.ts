export const US_PER_MS = 1000;
export const NS_PER_MS = 1e6;
export const NS_PER_SECOND = 1e9;
export const MS_PER_SECOND = 1000;
