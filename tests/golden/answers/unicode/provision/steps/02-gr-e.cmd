@chcp 65001 >nul
echo Grüße
